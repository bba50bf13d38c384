// Conversations: their list, the one that is open, and what is said in it.

import { call, stream } from "./api.js";
import { $, make, when } from "./dom.js";

let open = null;  // the session that is shown; null: one that is made when something is said in it
let onOpen = () => {};

const path = (session) => `/api/sessions/${encodeURIComponent(session.id)}`;
const list = () => $("#chat ol");

export function setUpChat(callbacks) {
  onOpen = callbacks.onOpen;
  $("#sessions .new").addEventListener("click", () => show(null));
  $("#sessions .more").addEventListener("click", (event) => listSessions(event.target.dataset.next));
  $("#chat .more").addEventListener("click", showEarlier);
  $("#chat .delete").addEventListener("click", remove);
  const form = $("#chat form");
  form.addEventListener("submit", (event) => { event.preventDefault(); say(form); });
  form.content.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

// Opens the conversation that the page's address names, else the newest.
export async function openLast() {
  const sessions = await listSessions();
  const named = decodeURIComponent(location.hash.slice(1));
  const session = sessions.find(({ id }) => id === named) ?? sessions[0] ?? null;
  await show(session);
}

async function listSessions(after) {
  const page = await call("GET", `/api/sessions${after ? `?after=${encodeURIComponent(after)}` : ""}`);
  const rows = page.items.map(row);
  if (after) $("#sessions ul").append(...rows);
  else $("#sessions ul").replaceChildren(...rows);
  Object.assign($("#sessions .more"), { hidden: !page.next });
  $("#sessions .more").dataset.next = page.next ?? "";
  markOpen();
  return page.items;
}

function row(session) {
  const button = make("button", { onclick: () => { show(session); onOpen(); } },
    make("span", { className: "name" }, session.title || "Untitled"),
    make("time", {}, when(session.updated_at)));
  button.dataset.id = session.id;
  return make("li", {}, button);
}

function markOpen() {
  for (const button of document.querySelectorAll("#sessions li button")) {
    button.setAttribute("aria-current", String(button.dataset.id === open?.id));
  }
}

async function show(session) {
  open = session;
  history.replaceState(null, "", session ? `#${encodeURIComponent(session.id)}` : location.pathname);
  $("#chat h2").textContent = session ? session.title || "Untitled" : "New chat";
  $("#chat .delete").hidden = !session;
  $("#chat .more").hidden = true;
  list().replaceChildren();
  markOpen();
  if (!session) {
    onOpen();
    list().append(make("li", { className: "empty" }, "Ask something; the answer comes from your documents."));
    $("#chat textarea").focus();
    return;
  }
  const page = await call("GET", `${path(session)}/messages`);
  if (open !== session) return;  // another one was opened meanwhile
  put(page);
  toEnd();
}

function put(page) {
  list().prepend(...page.items.map(bubble));
  $("#chat .more").hidden = !page.earlier;
  $("#chat .more").dataset.first = JSON.stringify(page.items[0] ?? {});
}

async function showEarlier(event) {
  const session = open;
  const { position, id } = JSON.parse(event.target.dataset.first);
  const before = new URLSearchParams({ before_position: position, before_id: id });
  const page = await call("GET", `${path(session)}/messages?${before}`);
  if (open === session) put(page);
}

function bubble({ role, content, metadata }) {
  const item = make("li", { className: role === "user" ? "mine" : "theirs" }, make("p", {}, content));
  if (metadata?.sources?.length) item.append(sources(metadata.sources));
  return item;
}

function sources(found) {
  return make("div", { className: "sources" }, ...found.map(({ title, score }) =>
    make("span", { title: "cosine similarity" }, `${title || "Untitled"} ${Number(score).toFixed(2)}`)));
}

function toEnd() {
  $("#chat .messages").scrollTop = $("#chat .messages").scrollHeight;
}

async function say(form) {
  const content = form.content.value.trim();
  if (!content) return;
  form.querySelector("button").disabled = true;
  const answer = make("li", { className: "theirs" }, make("p", { className: "coming" }));
  try {
    if (!open) await show(await call("POST", "/api/sessions", {}));
    const session = open;
    for await (const event of stream(`${path(session)}/messages`, { content })) {
      if (open !== session) continue;
      tell(event, answer, form);
      toEnd();
    }
  } catch (error) {
    answer.firstChild.textContent = error.message;
    answer.firstChild.classList.add("error");
    list().append(answer);
  } finally {
    answer.firstChild.classList.remove("coming");
    form.querySelector("button").disabled = false;
    const sessions = await listSessions().catch(() => []);
    open = sessions.find(({ id }) => id === open?.id) ?? open;
    if (open) $("#chat h2").textContent = open.title || "Untitled";
  }
}

function tell(event, answer, form) {
  if (event.said) {
    list().append(bubble(event.said), answer);
    form.reset();
  } else if (event.token) {
    answer.firstChild.append(event.token);
  } else if (event.answer) {
    answer.replaceWith(bubble(event.answer));
  } else if (event.error) {
    answer.append(make("p", { className: "error" }, event.error));
  }
}

async function remove() {
  if (!open || !confirm(`Delete “${open.title || "Untitled"}” with all of its messages?`)) return;
  await call("DELETE", path(open));
  history.replaceState(null, "", location.pathname);
  await openLast();
}

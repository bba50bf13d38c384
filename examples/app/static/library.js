// Documents: uploading, listing, deleting, and searching them with the scores.

import { call } from "./api.js";
import { $, make, when } from "./dom.js";

export function setUpLibrary() {
  const input = $("#library input[type=file]");
  input.addEventListener("change", async () => { await upload([...input.files]); input.value = ""; });
  const zone = $("#library .upload");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") upload([...event.dataTransfer.files]);
    });
  }
  $("#library .search").addEventListener("submit", search);
  $("#library .more").addEventListener("click", (event) => showFiles(event.target.dataset.next));
}

export async function showFiles(after) {
  const page = await call("GET", `/api/documents${after ? `?after=${encodeURIComponent(after)}` : ""}`);
  const list = $("#library .files");
  if (!after) list.replaceChildren();
  const shown = new Set([...list.children].map((item) => item.dataset.id));
  // A file whose parts are on two pages is on both.
  list.append(...page.items.filter(({ ids }) => !shown.has(ids[0])).map(row));
  if (!list.children.length) list.append(make("li", { className: "empty" }, "No documents yet."));
  $("#library .more").hidden = !page.next;
  $("#library .more").dataset.next = page.next ?? "";
}

function row(file) {
  const parts = file.ids.length === 1 ? "" : ` · ${file.ids.length} parts`;
  const item = make("li", {},
    make("span", { className: "name" }, file.name || "Untitled"),
    make("time", {}, `${when(file.updated_at)}${parts}`),
    make("button", { className: "delete", onclick: () => remove(file) }, "Delete"));
  item.lastChild.setAttribute("aria-label", `Delete ${file.name}`);
  item.dataset.id = file.ids[0];
  return item;
}

function notice(text, wrong = false) {
  $("#library .notice").textContent = text;
  $("#library .notice").classList.toggle("error", wrong);
}

async function upload(files) {
  for (const file of files) {
    notice(`Reading ${file.name}…`);
    const form = new FormData();
    form.append("file", file);
    try {
      await call("POST", "/api/documents", form);
      notice(`${file.name} can be searched now.`);
    } catch (error) {
      notice(`${file.name}: ${error.message}`, true);
    }
  }
  await showFiles();
}

async function remove(file) {
  if (!confirm(`Delete “${file.name || "Untitled"}”?`)) return;
  await call("POST", "/api/documents/delete", { ids: file.ids });
  await showFiles();
}

async function search(event) {
  event.preventDefault();
  const q = new FormData(event.target).get("q");
  try {
    const matches = await call("GET", `/api/search?${new URLSearchParams({ q })}`);
    const empty = make("li", { className: "empty" }, "Nothing was found.");
    $("#library .matches").replaceChildren(...(matches.length ? matches.map(hit) : [empty]));
  } catch (error) {
    notice(error.message, true);
  }
}

function hit({ title, page, text, score }) {
  const bar = make("meter", { min: 0, max: 1, value: Math.max(0, score) });
  bar.setAttribute("aria-label", "cosine similarity");
  return make("li", {},
    make("div", { className: "head" },
      make("span", { className: "name" }, (title || "Untitled") + (page ? `, page ${page}` : "")),
      bar, make("output", {}, score.toFixed(2))),
    make("p", {}, text.length > 220 ? `${text.slice(0, 219)}…` : text));
}

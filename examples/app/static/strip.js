// The strip at the bottom: how far the app is moved, for whoever tries a migration under it.

import { call } from "./api.js";
import { $, make } from "./dom.js";

const EVERY = 2000;
const NAMES = { chat: "Chats", documents: "Documents" };
let timer = null;

export function startStrip() {
  stopStrip();
  show();
  timer = setInterval(() => { if (!document.hidden) show(); }, EVERY);
}

export function stopStrip() {
  clearInterval(timer);
}

async function show() {
  try {
    const kinds = await call("GET", "/api/migration");
    $("#strip").replaceChildren(...Object.entries(kinds).map(([kind, seen]) => part(NAMES[kind], seen)));
  } catch {
    $("#strip").replaceChildren(make("span", { className: "error" }, "how far the app is moved is not known just now"));
  }
}

function part(name, { stage, marks, oldest_mark_seconds: age, compared }) {
  const shown = make("div", { className: "kind" }, make("b", {}, name), make("span", { className: "stage" }, stage ?? "one side"));
  if (!stage) return shown;
  shown.append(make("span", { className: marks ? "busy" : "" },
    marks ? `${marks} ${marks === 1 ? "mark" : "marks"}, ${Math.round(age)} s` : "no marks"));
  const made = Object.entries(compared).filter(([, count]) => count);
  const text = made.map(([what, count]) => `${count} ${what}`).join(", ");
  shown.append(make("span", { className: compared.mismatched ? "error" : "", title: "Shadow reads since the app started" },
    text ? `compared: ${text}` : "nothing compared"));
  return shown;
}

// The strip at the bottom: how far the app is moved, for whoever tries a migration under it.

import { call } from "./api.js";
import { $, make } from "./dom.js";

const EVERY = 2000;
const NAMES = { chat: "Chats", documents: "Documents" };
const NEW = { chat: "Supabase", documents: "Chroma" };
const READS = {
  messages: "history of # message", last_messages: "history of # message", count_messages: "count of messages",
  get_session: "# chat", list_sessions: "list of # chat",
  search: "search with # hit", get: "# document", get_many: "# document", list_documents: "list of # document",
  count_documents: "count of documents",
};
const COLOURS = { equal: "", mismatched: "error", pending: "busy", failed: "busy" };
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
    $("#strip").replaceChildren(...Object.entries(kinds).map(([kind, seen]) => part(kind, seen)));
  } catch {
    $("#strip").replaceChildren(make("span", { className: "error" }, "how far the app is moved is not known just now"));
  }
}

function part(kind, { stage, marks, oldest_mark_seconds: age, compared, last }) {
  const shown = make("div", { className: "kind" },
    make("b", {}, NAMES[kind]), make("span", { className: "stage" }, stage ?? "one side"));
  if (!stage) return shown;
  shown.append(make("span", { className: marks ? "busy" : "" },
    marks ? `${marks} ${marks === 1 ? "mark" : "marks"}, ${Math.round(age)} s` : "no marks"));
  const made = Object.entries(compared).filter(([, count]) => count);
  const text = made.map(([what, count]) => `${count} ${what}`).join(", ");
  shown.append(make("span", { title: "Shadow reads since the app started" },
    text ? `compared: ${text}` : "nothing compared"));
  if (last) {
    const className = `last ${COLOURS[last.outcome]}`;
    shown.append(make("span", { className, title: "Your last shadow read" }, told(kind, last)));
  }
  return shown;
}

// "history of 12 messages: equal, Redis 3 ms, Supabase 9 ms, 2 s ago"
function told(kind, { operation, records, outcome, detail, old_ms, new_ms, seconds_ago }) {
  const read = (READS[operation] ?? operation).replace("#", records);
  const several = READS[operation]?.includes("#") && records !== 1 ? "s" : "";
  const found = {
    equal: "equal", mismatched: `differs (${detail})`, pending: "differs, to be merged", failed: "not compared",
  };
  const sides = [took("Redis", old_ms), took(NEW[kind], new_ms)];
  return [`${read}${several}: ${found[outcome]}`, ...sides, ago(seconds_ago)].join(", ");
}

function took(side, ms) {
  if (ms === null) return `${side} no answer`;
  return `${side} ${ms < 1 ? "<1" : Math.round(ms)} ms`;
}

function ago(seconds) {
  return seconds < 120 ? `${Math.max(0, Math.round(seconds))} s ago` : `${Math.round(seconds / 60)} min ago`;
}

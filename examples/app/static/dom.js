// Making elements. Text always goes in as text, never as HTML: so nothing that a user wrote can become code.

export function $(selector) {
  return document.querySelector(selector);
}

// make("button", { className: "quiet", onclick }, "text", child, …)
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export function when(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}

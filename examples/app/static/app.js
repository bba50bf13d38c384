// The page: who is logged in, which pane is seen on a small screen, and what is shown when.

import { call } from "./api.js";
import { openLast, setUpChat } from "./chat.js";
import { $ } from "./dom.js";
import { setUpLibrary, showFiles } from "./library.js";
import { startStrip, stopStrip } from "./strip.js";

export function showPane(name) {
  $("#app").dataset.pane = name;
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-current", String(button.dataset.pane === name));
  }
}

async function start() {
  try {
    const { user_id } = await call("GET", "/api/me");
    for (const shown of document.querySelectorAll(".user")) shown.textContent = user_id;
  } catch (error) {
    if (error.status !== 401) showLogIn(error.message);
    return;
  }
  $("#login").hidden = true;
  $("#app").hidden = false;
  showPane("chat");
  startStrip();
  await Promise.all([openLast(), showFiles()]);
}

async function showLogIn(message = "") {
  stopStrip();
  $("#app").hidden = true;
  $("#login").hidden = false;
  $("#login .error").textContent = message;
  const settings = await call("GET", "/api/settings").catch(() => ({ by_name: true }));
  $("#login form").hidden = !settings.by_name;
  $("#login .elsewhere").hidden = settings.by_name;
  if (settings.sign_in_url?.startsWith("https://")) $("#login a").href = settings.sign_in_url;
}

async function logIn(event) {
  event.preventDefault();
  const user_id = new FormData(event.target).get("user");
  try {
    const { token } = await call("POST", "/dev/token", { user_id });
    await call("POST", "/login", { token });
    await start();
  } catch (error) {
    $("#login .error").textContent = error.message;
  }
}

$("#login form").addEventListener("submit", logIn);
$(".logout").addEventListener("click", async () => {
  await call("POST", "/logout");
  location.reload();  // what the page still holds of the user goes with it
});
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => showPane(button.dataset.pane));
}
document.addEventListener("signed-out", () => showLogIn());
setUpChat({ onOpen: () => showPane("chat") });
setUpLibrary();
start();

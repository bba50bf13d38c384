// The JSON API. The browser sends the cookie with the user's token by itself; no script can read it.

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function call(method, path, body) {
  const answer = await send(method, path, body);
  return answer.status === 204 ? null : answer.json();
}

// Yields the objects of an answer that comes line by line.
export async function* stream(path, body) {
  const answer = await send("POST", path, body);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

async function send(method, path, body) {
  const form = body instanceof FormData;
  const headers = body && !form ? { "Content-Type": "application/json" } : {};
  const content = body && !form ? JSON.stringify(body) : body;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: content });
  } catch {
    throw new Refused(0, "The app does not answer.");
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && path !== "/login") document.dispatchEvent(new Event("signed-out"));
  const { detail } = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, typeof detail === "string" ? detail : "That cannot be done.");
}

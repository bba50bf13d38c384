// What all JavaScript drivers share: the JSON lines, the packages, and an embedding that needs no model.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import path from "node:path";

// The packages lie in a folder of their own, which is the driver's first argument.
const folder = process.argv[2];
const require = createRequire(path.join(folder, "package.json"));

/** Import a package of the environment: the one that another package of it sees, if that is given. */
export const load = (name, seenBy) =>
  import(pathToFileURL((seenBy ? createRequire(require.resolve(seenBy)) : require).resolve(name)).href);

/** The embedding of a text: the same as in serving.py. */
export function embed(text) {
  return [...createHash("sha256").update(text, "utf8").digest().subarray(0, 8)].map((byte) => (2 * byte - 255) / 256);
}

/** Answer calls until stdin ends. The first line that goes out tells the packages' versions. */
export async function serve(functions, ...packages) {
  const write = (reply) => process.stdout.write(JSON.stringify(reply) + "\n");
  console.log = console.info = console.warn = console.error;
  const version = (name) => JSON.parse(readFileSync(path.join(folder, "node_modules", name, "package.json"))).version;
  write({ result: Object.fromEntries(packages.map((name) => [name, version(name)])) });
  for await (const line of createInterface({ input: process.stdin })) {
    const call = JSON.parse(line);
    try {
      write({ result: (await functions[call.function](call.arguments)) ?? null });
    } catch (error) {
      write({ error: String(error.stack ?? error) });
    }
  }
  process.exit(0);
}

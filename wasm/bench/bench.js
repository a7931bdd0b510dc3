/**
 * How fast the package is, as a table in Markdown.
 *
 *   node wasm/bench/bench.js            all but linux
 *   node wasm/bench/bench.js PART...    guest, linux, node, chromium, log
 *
 * After `wasm/build && wasm/www/build`; linux also needs what `tests/run linux` installs, and downloads 60 MB.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as logwrites from "logwrites";
import { fileSink } from "logwrites/node";

import { browserRows } from "./browser.js";
import { bankRows, linuxRows } from "./guest.js";
import { logRows } from "./log.js";
import { TABLE_HEAD, tableRow } from "./rounds.js";
import { sinkRows, writeRows } from "./writes.js";

const PARTS = { guest: bankRows, linux: linuxRows, node: nodeRows, chromium: browserRows, log: logRows };
const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS).filter((part) => part !== "linux");

const unknown = chosen.filter((part) => !Object.hasOwn(PARTS, part));
if (unknown.length > 0) {
  console.error(`bench: there is no part ${unknown.join(", ")}; there are ${Object.keys(PARTS).join(", ")}`);
  process.exit(2);
}
await logwrites.init();
console.log(TABLE_HEAD);
for (const part of chosen) {
  for await (const row of PARTS[/** @type {keyof typeof PARTS} */ (part)]()) console.log(tableRow(row));
}
process.exit(0); // v86 leaves timers behind

async function* nodeRows() {
  yield* writeRows(logwrites, "Node");
  yield* sinkRows(logwrites, "Node, in memory", () => logwrites.memorySink());
  const folder = mkdtempSync(join(tmpdir(), "logwrites-bench-"));
  const path = join(folder, "log");
  try {
    yield* sinkRows(logwrites, "Node, a file", () => {
      rmSync(path, { force: true });
      return fileSink(path);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

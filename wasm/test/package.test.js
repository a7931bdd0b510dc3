/** The file that `npm pack` makes, installed elsewhere: in Node, in a worker, and from bytes of the module. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { folder } from "./support.js";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));

test("the packed package works where it is installed", (t) => {
  const path = folder(t);
  const [{ filename, files }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", path("")], { cwd: PACKAGE, encoding: "utf8" }));
  const names = files.map((file) => file.path).sort();
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "js/index.js", "types/index.d.ts", "types/node.d.ts", "pkg/logwrites_wasm_bg.wasm"]) {
    assert.ok(names.includes(name), `${name} is missing`);
  }
  assert.deepEqual(names.filter((name) => /test|src|node_modules|bench/.test(name)), []);

  const target = path("node_modules/logwrites");
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["--extract", "--file", path(filename), "--directory", target, "--strip-components", "1"]);
  writeFileSync(path("package.json"), '{ "type": "module" }');
  writeFileSync(path("main.js"), MAIN);
  assert.equal(execFileSync(process.execPath, ["main.js"], { cwd: path(""), encoding: "utf8" }), "thread 7\nworker 7\n");
});

const MAIN = `
import { readFileSync } from "node:fs";
import { isMainThread, Worker } from "node:worker_threads";
import { init, LoggedDisk, LogWriter } from "logwrites";
const module = readFileSync(new URL(import.meta.resolve("logwrites/pkg/logwrites_wasm_bg.wasm")));
await init(isMainThread ? undefined : new WebAssembly.Module(module));
const disk = new LoggedDisk({ byteLength: 8192, log: new LogWriter() });
disk.write(512, new Uint8Array(512).fill(7));
console.log(isMainThread ? "thread" : "worker", disk.readSync(600, 1)[0]);
if (isMainThread) new Worker(new URL(import.meta.url));
`;

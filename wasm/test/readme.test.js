/** The examples of the README: the ones that need no page are run, and the types of all are checked. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";

const here = new URL(".", import.meta.url);
const readme = readFileSync(new URL("../README.md", here), "utf8");
const examples = [...readme.matchAll(/^```js( page)?\n(.*?)^```$/gms)].map(([, page, code]) => ({ isPage: page !== undefined, code }));
const folder = new URL("../target-examples/", here);

test("the examples of the README run", async (t) => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  assert.ok(examples.length >= 8);
  for (const [index, { isPage, code }] of examples.entries()) {
    if (isPage) continue;
    // console.assert only prints.
    const file = new URL(`${index}.js`, folder);
    writeFileSync(file, `import assert from "node:assert/strict";\n${code.replaceAll("console.assert(", "assert.ok(")}`);
    await t.test(`example ${index}`, () => import(file.href));
  }
});

test("the examples of the README are typed, strictly", (t) => {
  const folder = new URL("../target-types/", here);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [index, { code }] of examples.entries()) {
    const typed = code.replaceAll("catch (error) {", "catch (caught) {\n  const error = caught as LogError;");
    const withError = typed.includes("as LogError") ? `import type { LogError } from "logwrites";\n${typed}` : typed;
    writeFileSync(new URL(`${index}.ts`, folder), withError.replace("const failures = [];", "const failures: string[] = [];").replace("write(offset, bytes)", "write(offset: number, bytes: Uint8Array)"));
  }
  const config = {
    compilerOptions: { strict: true, noEmit: true, module: "nodenext", target: "es2022", lib: ["es2024", "dom", "dom.iterable", "dom.asynciterable"], types: ["node"], skipLibCheck: false },
    include: ["*.ts"],
  };
  writeFileSync(new URL("tsconfig.json", folder), JSON.stringify(config));
  const tsc = new URL("../node_modules/.bin/tsc", here).pathname;
  try {
    execFileSync(tsc, ["--project", folder.pathname], { encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout);
  }
});

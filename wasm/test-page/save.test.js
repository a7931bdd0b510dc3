/** Saving the disk at a point, and the log. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { demoLog, folder, logwrites, NR_DEMO, openPage } from "./support.js";
import { choose, download, goTo, settle } from "./viewer.js";

for (const withBase of [true, false]) {
  test(`a saved image is the tool's, ${withBase ? "over a base" : "without a base"}`, async (t) => {
    const path = folder(t);
    const { log, base } = demoLog(path);
    const page = await openPage(t);
    await choose(page, log, ...(withBase ? [base] : []));
    const disk = withBase ? ["--base", base] : ["--size", "1M"];
    for (const point of [0, 5, 7, 12, NR_DEMO]) {
      await goTo(page, point);
      const saved = await download(page, "#save-image");
      assert.equal(saved.name, `demo-at-${point}.img`);
      logwrites("replay", log, ...disk, "--output", path(`at ${point}`), "--at", `${point}`);
      assert.ok(saved.bytes.equals(readFileSync(path(`at ${point}`))), `point ${point}`);
    }
  });
}

test("a saved crash lacks what was lost", async (t) => {
  const path = folder(t);
  const { log, base } = demoLog(path);
  const page = await openPage(t);
  await choose(page, log, base);
  await goTo(page, 12);
  for (const entry of [9, 11]) await page.click(`#crash-toggles [data-entry='${entry}']`);
  await settle(page);
  const saved = await download(page, "#save-image");
  assert.equal(saved.name, "demo-at-12-crashed.img");
  // Without 9 and 11, only 10 is left of what came after point 9.
  logwrites("replay", log, "--base", base, "--output", path("then"), "--at", "9");
  const expected = readFileSync(path("then")).fill(0x66, 256 << 10, 260 << 10);
  assert.ok(saved.bytes.equals(expected));
});

test("the saved log is the log", async (t) => {
  const { log } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log);
  const saved = await download(page, "#save-log");
  assert.equal(saved.name, "demo.log");
  assert.ok(saved.bytes.equals(readFileSync(log)));
});

test("with the browser's dialogue, the image is streamed into the file", async (t) => {
  const path = folder(t);
  const { log, base } = demoLog(path);
  const page = await openPage(t, { picker: true });
  await choose(page, log, base);
  // The dialogue itself cannot be answered here; a file of the page's own file system takes the same stream.
  await page.evaluate(() => {
    window.showSaveFilePicker = async ({ suggestedName }) => (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true });
  });
  await goTo(page, 7);
  await page.click("#save-image");
  await page.waitForSelector("#progress", { state: "hidden" });
  const text = await page.evaluate(async () => {
    const file = await (await (await navigator.storage.getDirectory()).getFileHandle("demo-at-7.img")).getFile();
    return Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => byte.toString(16).padStart(2, "0")).join("");
  });
  logwrites("replay", log, "--base", base, "--output", path("at 7"), "--at", "7");
  assert.ok(Buffer.from(text, "hex").equals(readFileSync(path("at 7"))));

  // Who closes the dialogue gets no error, and no file.
  await page.evaluate(() => (window.showSaveFilePicker = async () => { throw new DOMException("closed", "AbortError"); }));
  await page.click("#save-image");
  await settle(page);
  assert.ok(await page.isHidden("#error"));
});

/** Opening a log, and what the page says of it. */

import assert from "node:assert/strict";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { demoLog, folder, logwrites, NR_DEMO, openPage } from "./support.js";
import { choose, goTo, listed, settle } from "./viewer.js";

test("a log and its base are opened together, in any order", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, base, log);
  const facts = Object.fromEntries(
    await page.locator("#summary > div").evaluateAll((rows) => rows.map(({ children: [name, value] }) => [name.textContent, value.textContent])),
  );
  const { entries } = JSON.parse(logwrites("info", "--json", log));
  assert.equal(Number(facts.entries), typeof entries === "number" ? entries : NR_DEMO);
  assert.deepEqual(
    [facts.writes, facts.flushes, facts.discards, facts.marks, facts.disk, facts.base],
    ["8 (1 FUA)", "3", "1", "2", "1 MiB", "demo.base"],
  );
  assert.equal((await listed(page)).length, NR_DEMO);
  assert.deepEqual((await listed(page)).slice(3, 7), ["3 mark formatted", "4 write 128+1 512 B", "5 fua 256+2 1 KiB", "6 discard 1024+256 128 KiB"]);
});

test("a log is dropped, and its base later", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await drop(page, "body", log);
  await page.waitForSelector("body.has-log");
  assert.equal(await page.textContent("#summary > div:last-child dd"), "zeros");
  await drop(page, "#hexdump", base);
  await page.waitForFunction(() => document.querySelector("#summary > div:last-child dd").textContent === "demo.base");
  await goTo(page, 0);
  await page.fill("#sector", "5");
  await page.press("#sector", "Enter");
  await page.waitForFunction(() => document.querySelector("#hexdump .codes").textContent.startsWith("05 05 05"));
});

test("a file that is not a log is refused, and what is damaged is shown as far as it goes", async (t) => {
  const path = folder(t);
  const { log } = demoLog(path);
  const page = await openPage(t);
  writeFileSync(path("text"), "this is no log\n".repeat(100));
  await page.setInputFiles("#file-first", path("text"));
  await page.waitForSelector("#error:visible");
  assert.match(await page.textContent("#error-text"), /^text: not a dm-log-writes log\. Choose a log/);
  await page.click("#error-close");

  truncateSync(log, readFileSync(log).length - 1500);
  await choose(page, log);
  assert.match(await page.textContent("#damage"), /The \d+ entries before it are shown/);
  assert.ok((await listed(page)).length >= NR_DEMO - 3);
  assert.ok(await page.isHidden("#error"));
});

test("the list is filtered by kind, mark and sector", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  const status = () => page.textContent("#entries-status");
  assert.equal(await status(), "14 entries");

  await page.click(".chip[data-kind=write]");
  await settle(page);
  assert.equal(await status(), "7 of 14 entries");
  await page.click(".chip[data-kind=write]");

  await page.fill("#filter-mark", "MOUNT");
  await settle(page);
  assert.deepEqual(await listed(page), ["8 mark mounted"]);
  await page.fill("#filter-mark", "");

  for (const [text, entries] of [["8", ["1", "9", "11"]], ["9-11", ["1", "11"]], ["0x400+1", ["6"]], ["2046-2047", ["12"]], ["3000", []]]) {
    await page.fill("#filter-sectors", text);
    await settle(page);
    assert.deepEqual((await listed(page)).map((row) => row.split(" ")[0]), entries, text);
  }
  await page.fill("#filter-sectors", "8-");
  assert.equal(await page.getAttribute("#filter-sectors", "aria-invalid"), "true");
});

test("the page loads in under a second, and asks no other server for anything", async (t) => {
  const page = await openPage(t, { expected: /violates the (following|document's) Content Security Policy/ }); // it fails on a request elsewhere
  const { ms, foreign } = await page.evaluate(() => ({
    ms: performance.getEntriesByType("navigation")[0].loadEventEnd,
    foreign: performance.getEntriesByType("resource").filter(({ name }) => new URL(name).origin !== location.origin).length,
  }));
  t.diagnostic(`loaded after ${ms.toFixed(0)} ms (aim: 1000)`);
  assert.ok(ms < 10_000);
  assert.equal(foreign, 0);
  // And could not if it wanted to.
  const refused = await page.evaluate(() => fetch("http://127.0.0.1:9/").then(() => "", (error) => error.name));
  assert.equal(refused, "TypeError");
});

/** Drops a file as the browser does: with its content, where it is let go. */
async function drop(page, selector, path) {
  const name = path.split("/").at(-1);
  const bytes = readFileSync(path).toString("base64");
  const transfer = await page.evaluateHandle(([name, bytes]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0))], name));
    return transfer;
  }, [name, bytes]);
  for (const type of ["dragenter", "dragover", "drop"]) await page.dispatchEvent(selector, type, { dataTransfer: transfer });
}

/** What the tests of the page share: the page in Chromium, and logs to look at. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

import { launch, need, serveSite } from "./chromium.js";

const LOGWRITES = process.env.LOGWRITES ?? fileURLToPath(new URL("../../target/debug/logwrites", import.meta.url));
need(LOGWRITES, "cargo build -p logwrites");

/** A browser and a server for all tests of a file. */
const [browser, site] = await Promise.all([launch(), serveSite()]);
const ORIGIN = site.origin;
after(async () => {
  await browser.close();
  site.close();
});

/**
 * The page, loaded. What goes wrong in it fails the test, and so does a request to anywhere else.
 *
 * @param {import("node:test").TestContext} t
 * @param {import("playwright-core").BrowserContextOptions & { picker?: boolean, guest?: string, expected?: RegExp }} [options] `picker`: with the
 *   browser's own dialogue for saving; `guest`: the source of the guest's panel; `expected`: errors that are meant
 */
export async function openPage(t, { picker = false, guest, expected, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.stack));
  page.on("console", (message) => {
    const isMeant = expected?.test(message.text()) || message.location().url.endsWith("/guest/panel.js");
    if (message.type() === "error" && !isMeant) problems.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(ORIGIN) && !/^(blob|data):/.test(request.url())) problems.push(`a request to ${request.url()}`);
  });
  // Nobody is there to answer the dialogue.
  if (!picker) await page.addInitScript(() => delete window.showSaveFilePicker);
  if (guest) await page.route("**/guest/panel.js", (route) => route.fulfill({ contentType: "text/javascript", body: guest }));
  await page.goto(`${ORIGIN}/`);
  await page.waitForSelector("body[data-ready]");
  t.after(async () => {
    await context.close();
    if (problems.length > 0) throw new Error(problems.join("\n"));
  });
  return page;
}

/** A folder that goes when the test does. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "logwrites-page-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return (name) => join(path, name);
}

export function logwrites(...args) {
  return execFileSync(LOGWRITES, args, { encoding: "utf8" });
}

/**
 * A small log over a base, made by the command line tool: writes, a FUA, a discard, flushes, marks; the last epoch is open.
 *
 * @returns {{ log: string, base: string }}
 */
export function demoLog(path) {
  const [log, base, script] = ["demo.log", "demo.base", "demo.script"].map(path);
  writeFileSync(base, Uint8Array.from({ length: 1 << 20 }, (_, at) => (at >> 9) & 0xff));
  writeFileSync(script, `${DEMO.join("\n")}\n`);
  logwrites("record", "--base", base, "--log", log, "--script", script);
  return { log, base };
}

/** The entry that each makes is its place here. */
const DEMO = [
  "write -P 0x11 0 4k",
  "write -P 0x22 4k 8k",
  "flush",
  "mark formatted",
  "write -P 0x33 64k 512",
  "write -f -P 0x44 128k 1k",
  "discard 512k 128k",
  "flush",
  "mark mounted",
  "write -P 0x55 4k 512",
  "write -P 0x66 256k 4k",
  "write -P 0x55 4k 1k",
  "write -P 0x77 1023k 1k",
  "flush",
];
export const NR_DEMO = DEMO.length;

/** The page of `logwrites explore report`: on a phone, by the keyboard, dark and light. */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { launch, need } from "./chromium.js";

const LOGWRITES = process.env.LOGWRITES ?? fileURLToPath(new URL("../../target/debug/logwrites", import.meta.url));
need(LOGWRITES, "cargo build -p logwrites");

const browser = await launch();
const folder = mkdtempSync(join(tmpdir(), "logwrites-report-"));
after(async () => {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
});
const PAGE = makePage();

/** A store that flushes nothing in between, and a check that fails in two ways. */
function makePage() {
  const run = (/** @type {string[]} */ ...args) => execFileSync(LOGWRITES, args, { cwd: folder });
  writeFileSync(join(folder, "script"), "write -P 1 64k 4k\nwrite -P 3 128k 4k\nwrite -P 2 0 512\nflush\nmark stored\n");
  run("record", "disk", "--create", "1M", "--log", "log", "--script", "script");
  const check = `
    byte() { dd if="$CRASH_IMAGE" bs=4k skip=$1 count=1 2>/dev/null | od -An -tu1 -N1 | tr -d ' '; }
    [ "$(byte 0)" = 2 ] || exit 0
    [ "$(byte 16)" = 1 ] || { echo "no data"; exit 1; }
    [ "$(byte 32)" = 3 ] || { echo "no more data"; exit 2; }`;
  const explored = spawnSync(LOGWRITES, ["explore", "log", "--size", "1M", "--check", check, "--out", "out"], { cwd: folder });
  assert.equal(explored.status, 1, explored.stderr.toString());
  run("explore", "report", "out", "--html", "page.html");
  return pathToFileURL(join(folder, "page.html")).href;
}

/**
 * @param {import("node:test").TestContext} t
 * @param {import("playwright-core").BrowserContextOptions} options
 */
async function open(t, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.stack));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => request.url() !== PAGE && !request.url().startsWith("data:") && problems.push(request.url()));
  await page.goto(PAGE);
  t.after(async () => {
    await context.close();
    assert.deepEqual(problems, []);
  });
  return page;
}

for (const width of [390, 360]) {
  test(`nothing is wider than a phone of ${width} px, or too small to be tapped`, async (t) => {
    const page = await open(t, { viewport: { width, height: 844 }, isMobile: true, hasTouch: true });
    const widths = await page.evaluate(() => ({ page: document.documentElement.scrollWidth, window: innerWidth }));
    assert.deepEqual(widths, { page: width, window: width });
    const heights = await page.locator("button.copy").evaluateAll((all) => all.map((button) => button.getBoundingClientRect().height));
    assert.equal(heights.length, 2);
    assert.ok(heights.every((height) => height >= 24), `${heights}`);
    await page.locator("button.copy").first().tap();
    await page.waitForFunction(() => /Copied|Selected/.test(document.querySelector("button.copy").textContent));
  });
}

test("j and k go from one way to fail to the next, and stop at the ends", async (t) => {
  const page = await open(t, { viewport: { width: 1400, height: 900 } });
  const at = () => page.evaluate(() => [...document.querySelectorAll(".finding")].findIndex((finding) => finding === document.activeElement));
  const seen = [];
  for (const key of ["j", "j", "j", "k", "k", "n", "p"]) {
    await page.keyboard.press(key);
    seen.push(await at());
  }
  assert.deepEqual(seen, [0, 1, 1, 0, 0, 1, 0]);
  // A shortcut of the browser's own is left to it.
  await page.keyboard.press("Control+j");
  assert.equal(await at(), 0);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.closest(".finding") !== null), true, "what a finding has comes next");
});

test("dark and light are the person's choice, and both can be read", async (t) => {
  const page = await open(t, { viewport: { width: 1400, height: 900 } });
  const contrast = () => page.evaluate(() => {
    const luminance = (/** @type {string} */ color) => {
      const channels = color.match(/[\d.]+/g).slice(0, 3).map((channel) => Number(channel) / 255);
      const [red, green, blue] = channels.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const style = getComputedStyle(document.body);
    const [ink, paper] = [luminance(style.color), luminance(style.backgroundColor)];
    return { isDark: paper < ink, ratio: (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05) };
  });
  for (const colorScheme of /** @type {const} */ (["dark", "light"])) {
    await page.emulateMedia({ colorScheme });
    const { isDark, ratio } = await contrast();
    assert.equal(isDark, colorScheme === "dark");
    assert.ok(ratio >= 7, `${ratio}`);
  }
});

/** The guest's panel in a real browser: run, crash, lose a write, as a person does it. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";
import { serve } from "./server.js";

const CHROMIUM = "/usr/bin/chromium";
/** Where screenshots go, if they are wanted. */
const SCREENSHOTS = process.env.SCREENSHOTS;
const WAIT_MS = 60_000;

let server;
let browser;

before(async () => {
  assert.ok(existsSync(CHROMIUM), `${CHROMIUM} is missing: apt-get install chromium`);
  if (SCREENSHOTS) mkdirSync(SCREENSHOTS, { recursive: true });
  server = await serve();
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
});

after(async () => {
  await browser?.close();
  server?.close();
});

/** A page with the panel. It fails the test at every error of the page, and at every request elsewhere. */
async function open(t, options = {}) {
  const context = await browser.newContext({ viewport: { width: 500, height: 1400 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(error.stack));
  page.on("console", (message) => message.type() === "error" && !message.text().includes("404") && troubles.push(message.text()));
  page.on("request", (request) => /^(blob|data):/.test(request.url()) || request.url().startsWith(`${server.origin}/`) || troubles.push(`a request to ${request.url()}`));
  t.after(async () => {
    await context.close();
    assert.deepEqual(troubles, []);
  });
  await page.goto(`${server.origin}/page.html`);
  await page.waitForSelector("body[data-ready]");
  return page;
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const running = (page) => page.getByRole("region", { name: "Running guest" });
const crashed = (page) => page.getByRole("region", { name: "Guest booted from a crash" });
const verdict = (machine) => machine.locator(".guest-verdict strong");
const waitFor = (locator, text) => locator.filter({ hasText: text }).waitFor();

/** Waits for so many transfers, and pauses. */
async function runTransfers(page, nrTransfers) {
  await page.waitForFunction((count) => told.log?.marks().some(({ name }) => name === `transfer ${count}`), nrTransfers);
  await button(page, "Pause").click();
  await button(page, "Resume").waitFor();
}

/** The entries of the log: each one's kind, and a mark's name. */
function entries(page) {
  return page.evaluate(() => {
    const marks = new Map(told.log.marks().map(({ point, name }) => [point - 1, name]));
    return [...told.log.entries()].map(({ index, kind }) => ({ index, kind, name: marks.get(index) }));
  });
}

/** Crashes, and gives what the next boot says. */
async function crash(page, point, without = []) {
  await page.locator("#point").fill(String(point));
  await page.locator("#without").fill(without.join(" "));
  await button(page, "Crash here").click();
  await waitFor(crashed(page).locator("h3"), `: ${point}${without.length > 0 ? ` without ${without.join(", ")}` : ""}`);
  await crashed(page).locator(".guest-verdict:not([hidden])").waitFor();
  return verdict(crashed(page)).textContent();
}

async function shoot(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

test("with flushes it adds up after each crash, with each write lost", async (t) => {
  const page = await open(t);
  await button(page, "Start").click();
  await waitFor(verdict(running(page)), "✓ 8000 of 8000: adds up");
  await waitFor(running(page).getByRole("group", { name: "Screen" }), "balance 8000 of 8000: adds up");
  await page.getByRole("textbox", { name: "Name of the mark" }).fill("by hand");
  await button(page, "Mark").click();
  await runTransfers(page, 3);
  await shoot(page, "running");

  const log = await entries(page);
  assert.ok(log.some(({ name }) => name === "by hand"));
  const first = log.find(({ name }) => name === "transfer 1").index + 1;
  const last = log.find(({ name }) => name === "transfer 2").index + 1;
  let flushed = first;
  let nrCrashes = 0;
  for (let point = first; point <= last; point += 1) {
    if (log[point - 1].kind === "flush") flushed = point;
    const unflushed = log.slice(flushed, point).filter(({ kind }) => kind === "write");
    const { index } = unflushed.at(-1) ?? {};
    if (index !== point - 1) continue;
    assert.equal(await crash(page, point, [index]), "✓ 8000 of 8000: adds up");
    nrCrashes += 1;
  }
  assert.equal(nrCrashes, 4);
  await shoot(page, "crash-with-flushes");
  assert.equal(await running(page).locator(".guest-state").textContent(), "paused");

  // The crashed guest has a log of its own, which is shown when asked for.
  assert.equal(await page.evaluate(() => told.logs.length), 1);
  await button(page, "Show its log").click();
  assert.equal(await page.evaluate(() => told.logs.length), 2);
  assert.ok((await entries(page)).some(({ name }) => name === "the bank opens"));
});

test("without flushes a lost write loses money or makes some", async (t) => {
  const page = await open(t, { colorScheme: "dark" });
  await page.getByRole("switch", { name: "flushes" }).uncheck();
  await button(page, "Start").click();
  await runTransfers(page, 2);
  const log = await entries(page);
  assert.ok(log.every(({ kind }) => kind !== "flush"));
  const point = log.find(({ name }) => name === "transfer 1").index + 1;
  const [payer, payee] = log.slice(0, point).filter(({ kind }) => kind === "write").slice(1, 3).map(({ index }) => index);

  assert.equal(await crash(page, point), "✓ 8000 of 8000: adds up");
  assert.match(await crash(page, point, [payer]), /^✗ 8\d\d\d of 8000: MONEY MADE$/);
  assert.match(await crash(page, point, [payee]), /^✗ 7\d\d\d of 8000: MONEY LOST$/);
  await waitFor(crashed(page).locator(".guest-serial"), "The bank stays closed.");
  await shoot(page, "crash-without-flushes");

  await button(page, "Close").click();
  await crashed(page).waitFor({ state: "hidden" });
});

test("it starts again, stops, and goes on from a pause", async (t) => {
  const page = await open(t);
  await button(page, "Start").click();
  await runTransfers(page, 1);
  const { length } = await entries(page);
  await page.waitForTimeout(500);
  assert.equal((await entries(page)).length, length);
  await button(page, "Resume").click();
  await page.waitForFunction((length) => told.log.nrEntries > length, length);
  await button(page, "Restart").click();
  await page.waitForFunction(() => told.logs.length === 2 && told.log.nrEntries > 0);
  await button(page, "Stop").click();
  await waitFor(running(page).locator(".guest-state"), "stopped");
  assert.ok(await button(page, "Pause").isDisabled());
  await button(page, "Start").waitFor();
});

test("a disk image of one's own, which has the keyboard while its screen has the focus", async (t) => {
  const page = await open(t);
  await page.getByRole("radio", { name: "a disk image" }).check();
  await button(page, "Start").click();
  await waitFor(page.getByRole("alert"), "Choose a disk image first.");

  // Sends on the serial line what is typed: INT 16h, OUT, again. One byte more than a sector.
  const image = Buffer.alloc(513);
  Buffer.from([0xb4, 0x00, 0xcd, 0x16, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf6]).copy(image);
  Buffer.from([0x55, 0xaa]).copy(image, 510);
  await page.getByLabel("Choose a disk image").setInputFiles({ name: "echo.img", mimeType: "application/octet-stream", buffer: image });
  await button(page, "Start").click();
  await waitFor(running(page).locator("h3"), "echo.img");
  await waitFor(running(page).getByRole("group", { name: "Screen" }), "Booting from Hard Disk");
  assert.equal(await page.evaluate(() => told.disk.byteLength), 1024);

  const serial = running(page).locator(".guest-serial");
  await page.getByRole("textbox", { name: "Name of the mark" }).fill("typed for the page");
  await page.keyboard.press("Enter");
  await running(page).locator(".guest-screen").focus();
  await page.keyboard.type("guest", { delay: 50 });
  await waitFor(serial, "guest");
  await page.keyboard.press("Shift+Escape");
  assert.equal(await page.evaluate(() => document.activeElement.className), "guest-serial");
  await page.keyboard.type("page", { delay: 50 });
  await page.waitForTimeout(300);
  assert.equal((await serial.textContent()).replaceAll("\u001b", ""), "guest");
  assert.deepEqual((await entries(page)).map(({ name }) => name), ["typed for the page"]);
});

test("works with the keyboard alone, on a phone's width", async (t) => {
  const page = await open(t, { viewport: { width: 390, height: 844 }, colorScheme: "dark" });
  const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.type);
  const tabTo = async (name) => {
    for (let i = 0; i < 20; i += 1) {
      if ((await focused()) === name) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`Tab does not come to ${name}`);
  };
  await tabTo("checkbox");
  await page.keyboard.press("Space");
  await tabTo("Start");
  await page.keyboard.press("Enter");
  await waitFor(running(page).locator("h3"), "without flushes");
  await runTransfers(page, 1);
  assert.match(await crash(page, 1), /adds up/);
  await shoot(page, "phone");
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page scrolls sideways");
});

test("the licences are there", async (t) => {
  const page = await open(t);
  for (const [name, text] of [["v86", "Redistribution and use"], ["SeaBIOS", "GNU LESSER GENERAL PUBLIC LICENSE"]]) {
    const href = await page.getByRole("link", { name }).getAttribute("href");
    assert.ok((await (await page.request.get(href)).text()).includes(text), name);
  }
});

/**
 * Pictures of the page, to look at: `node wasm/test-page/screenshots.js DIRECTORY`, after `wasm/build && wasm/www/build`.
 * One of them, page.webp, is that of the README: docs/page.webp.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { init, LogReader } from "logwrites";

import { TOTAL, totalsWithout } from "../test/bank.js";
import { launch, serveSite } from "./chromium.js";
import { button, crashHere, savedLog, startBank, untilTransfer } from "./guest.js";
import { clickTimeline, settle } from "./viewer.js";

const LOOKS = {
  light: { viewport: { width: 1440, height: 1000 }, colorScheme: "light" },
  dark: { viewport: { width: 1440, height: 1000 }, colorScheme: "dark" },
  "phone-light": { viewport: { width: 390, height: 844 }, hasTouch: true, colorScheme: "light" },
  "phone-dark": { viewport: { width: 390, height: 844 }, hasTouch: true, colorScheme: "dark" },
  laptop: { viewport: { width: 1100, height: 760 }, colorScheme: "light" },
};

const [, , directory] = process.argv;
if (!directory) {
  console.error("usage: node wasm/test-page/screenshots.js DIRECTORY");
  process.exit(2);
}
mkdirSync(directory, { recursive: true });
await init();
const [browser, site] = await Promise.all([launch(), serveSite()]);
try {
  for (const [name, look] of Object.entries(LOOKS)) await shoot(name, look);
} finally {
  await browser.close();
  site.close();
}

/** The page in one look: empty, with a running guest, and with one that was booted from a crash that lost a write. */
async function shoot(name, look) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  await page.addInitScript(() => delete window.showSaveFilePicker);
  await page.goto(`${site.origin}/`);
  await page.waitForSelector("body[data-ready]");
  await picture(page, `${name}-empty`);
  await startBank(page, { flushes: false });
  await untilTransfer(page, 8);
  await button(page, "Pause").click();
  await settle(page);
  await picture(page, `${name}-running`);

  const { log, base } = await savedLog(page, { flushes: false });
  const reader = await LogReader.open(log);
  const { point } = reader.marks().find((mark) => mark.name === "transfer 6");
  await clickTimeline(page, point);
  const { entry } = (await totalsWithout(reader, base, point)).find(({ total }) => total < TOTAL);
  await page.click(`#crash-toggles [data-entry='${entry}']`);
  await page.fill("#sector", `${reader.entry(entry).sector}`);
  await page.press("#sector", "Enter");
  await page.selectOption("#since", "base");
  await crashHere(page);
  await page.evaluate(() => document.activeElement?.blur());
  await settle(page);
  await picture(page, `${name}-crashed`);
  if (name === "light") await webp(page, "page");
  await context.close();
}

/** Of the whole page; on a phone, where that is long, of its two parts. */
async function picture(page, name) {
  const path = (part) => join(directory, `${name}${part}.png`);
  if (page.viewportSize().width > 640) return page.screenshot({ path: path(""), fullPage: true });
  for (const part of ["viewer", "guest"]) await page.locator(`#${part}`).screenshot({ path: path(`-${part}`) });
}

/** Of what is in sight, small. */
async function webp(page, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80 });
  writeFileSync(join(directory, `${name}.webp`), Buffer.from(data, "base64"));
}

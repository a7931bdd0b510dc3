/** The viewer of logs, handled as a person does it. */

import { readFileSync } from "node:fs";

/** Opens files as a person does who chooses them. */
export async function choose(page, ...paths) {
  await page.setInputFiles((await page.locator("body.has-log").count()) ? "#file" : "#file-first", paths);
  await page.waitForSelector("body.has-log");
  await page.waitForSelector("#progress", { state: "hidden" });
  await settle(page);
}

/** Goes to a point by its number. */
export async function goTo(page, point) {
  await page.fill("#point", `${point}`);
  await page.press("#point", "Enter");
  await settle(page);
}

/** Clicks the last entry before a point. */
export async function clickTimeline(page, point) {
  await page.click("#zoom-fit");
  await settle(page);
  const { width, height } = await page.locator("#timeline").boundingBox();
  const all = Number(await page.getAttribute("#timeline", "aria-valuemax"));
  await page.click("#timeline", { position: { x: (width * (point - 0.5)) / Math.max(all, 16), y: height / 2 } });
  await settle(page);
}

/** The bytes of the hexdump. */
export async function dumped(page) {
  const codes = await page.locator("#hexdump .codes").allTextContents();
  return Buffer.from(codes.join(" ").replaceAll(/\s+/g, ""), "hex");
}

/** The entries in sight, as the list has them. */
export function listed(page) {
  return page.locator("#entries .row:visible").evaluateAll((rows) =>
    rows.sort((a, b) => Number(a.ariaRowIndex) - Number(b.ariaRowIndex)).map((row) => [...row.children].slice(0, 4).map((cell) => cell.textContent).join(" ").trim()),
  );
}

/** Some frames: what was changed is shown then. */
export async function settle(page) {
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve)))));
}

/** What a button saves, and under which name. */
export async function download(page, button) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

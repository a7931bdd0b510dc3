/** The guest's panel, handled as a person does it. */

import { download } from "./viewer.js";

/** Booting takes a second, and many times that on a machine that is busy. */
export const WAIT_MS = 60_000;

export const button = (page, name) => page.getByRole("button", { name, exact: true });
export const running = (page) => page.getByRole("region", { name: "Running guest" });
export const crashed = (page) => page.getByRole("region", { name: "Guest booted from a crash" });
export const screen = (machine) => machine.getByRole("group", { name: "Screen" });
export const verdict = (machine) => machine.locator(".guest-verdict strong");
export const waitFor = (locator, text) => locator.filter({ hasText: text }).waitFor({ timeout: WAIT_MS });

/** Starts the bank. */
export async function startBank(page, { flushes }) {
  await page.getByRole("switch", { name: "flushes" }).setChecked(flushes);
  await button(page, "Start").click();
  await waitFor(verdict(running(page)), "✓ 8000 of 8000: adds up");
}

/** Waits until the running bank has begun its `nth` transfer. */
export async function untilTransfer(page, nth) {
  await waitFor(running(page).locator(".guest-serial"), `transfer ${nth}: `);
}

/** Crashes at the point that is shown, and gives what the next boot says of its balance. */
export async function crashHere(page) {
  await forgetScreen(page);
  await button(page, "Crash here").click();
  return crashSaid(page);
}

/** So that what the machine of the crash before has shown is not taken for what the next one says. */
export async function forgetScreen(page) {
  await page.locator(".guest-screen canvas").evaluateAll((canvases) => canvases.forEach((canvas) => canvas.setAttribute("data-old", "")));
}

/** What the guest of the crash says of its balance: above its screen, and on it. */
export async function crashSaid(page) {
  await crashed(page).locator("canvas:not([data-old])").waitFor({ state: "attached", timeout: WAIT_MS });
  const text = verdict(crashed(page));
  await text.waitFor({ timeout: WAIT_MS });
  const said = await text.textContent();
  // The screen is drawn once a frame.
  await waitFor(screen(crashed(page)), `balance ${said.slice(2)}`);
  return said;
}

/** What the page saves as its log, and what the bank's disk was before. */
export async function savedLog(page, { flushes }) {
  const { bytes } = await download(page, "#save-log");
  const image = await page.request.get(new URL(`guest/bank-${flushes ? "with" : "without"}-flushes.img`, page.url()).href);
  return { log: new Uint8Array(bytes), base: new Uint8Array(await image.body()) };
}

/** The whole page: run the bank, go to a point, lose a write, crash there, and read what the next boot says. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { init, LogReader } from "logwrites";

import { TOTAL, totalsWithout, verdict as printed } from "../test/bank.js";
import { button, crashed, crashHere, crashSaid, forgetScreen, running, savedLog, startBank, untilTransfer, verdict, waitFor } from "./guest.js";
import { folder, logwrites, openPage } from "./support.js";
import { clickTimeline, download, goTo, settle } from "./viewer.js";

await init();

const ADDS_UP = `✓ ${printed(TOTAL).slice("balance ".length)}`;
/** As the page has it of what the guest prints. */
const saidOf = (total) => `${total === TOTAL ? "✓" : "✗"} ${printed(total).slice("balance ".length)}`;

test("without flushes, a write that is lost by a click loses money, or makes some", async (t) => {
  const page = await openPage(t);
  await startBank(page, { flushes: false });
  await untilTransfer(page, 6);
  await button(page, "Stop").click();
  await waitFor(running(page).locator(".guest-state"), "stopped");

  const { log, base } = await savedLog(page, { flushes: false });
  const reader = await LogReader.open(log);
  const point = reader.marks().find(({ name }) => name === "transfer 4").point;
  const totals = await totalsWithout(reader, base, point);
  const [lost, made] = [totals.find(({ total }) => total < TOTAL), totals.find(({ total }) => total > TOTAL)];
  assert.ok(lost && made, JSON.stringify(totals));

  await clickTimeline(page, point);
  assert.equal(await page.inputValue("#point"), `${point}`);
  assert.equal(await crashHere(page), ADDS_UP, "nothing is lost yet");
  for (const { entry, total } of [lost, made]) {
    const toggle = page.locator(`#crash-toggles [data-entry='${entry}']`);
    await toggle.click();
    assert.equal(await crashHere(page), saidOf(total), `without entry ${entry}`);
    await waitFor(crashed(page).locator(".guest-serial"), "The bank stays closed.");
    await waitFor(crashed(page).locator("h3"), `guest 1 at ${point}, without ${entry}`);
    await toggle.click();
  }
  assert.equal(await crashHere(page), ADDS_UP, "it has come back");
});

test("with flushes, it adds up at every point, whatever the unflushed epoch loses", async (t) => {
  const page = await openPage(t);
  await startBank(page, { flushes: true });
  await untilTransfer(page, 5);
  await button(page, "Pause").click();
  await button(page, "Resume").waitFor();

  const { log } = await savedLog(page, { flushes: true });
  const reader = await LogReader.open(log);
  const [from, to] = ["transfer 2", "transfer 3"].map((name) => reader.marks().find((mark) => mark.name === name).point);
  let nrCrashes = 0;
  for (let point = from; point <= to; point += 1) {
    await goTo(page, point);
    const toggles = await page.locator("#crash-toggles button").evaluateAll((buttons) => buttons.map(({ dataset }) => dataset.entry));
    assert.ok(toggles.length <= 2, `${toggles.length} writes that no flush covers`);
    for (let set = 0; set < 1 << toggles.length; set += 1) {
      await loseExactly(page, toggles.filter((_, nth) => set & (1 << nth)));
      assert.equal(await crashHere(page), ADDS_UP, `point ${point}, set ${set} of ${toggles}`);
      nrCrashes += 1;
    }
  }
  t.diagnostic(`${nrCrashes} crashes booted, from point ${from} to ${to}`);
  assert.ok(nrCrashes > to - from);

  await isTheTools(t, page, reader.nrEntries);

  // Each guest has a log of its own, and is one more that can be crashed.
  await button(page, "Show its log").click();
  await page.waitForFunction(() => document.querySelector("#sessions").length === 2);
  await page.fill("#filter-mark", "the bank opens");
  await page.locator("#entries .row:visible", { hasText: "the bank opens" }).waitFor();
});

for (const [name, options] of [["", {}], [", on a phone in the dark", { viewport: { width: 390, height: 844 }, hasTouch: true, colorScheme: "dark" }]]) {
  test(`all of it by keyboard alone${name}`, async (t) => {
    const page = await openPage(t, options);
    const press = (key) => page.keyboard.press(key);
    await tabTo(page, (focus) => focus.role === "switch");
    await press("Space");
    await tabTo(page, (focus) => focus.text === "Start");
    await press("Enter");
    await waitFor(verdict(running(page)), ADDS_UP);
    await untilTransfer(page, 3);
    await tabTo(page, (focus) => focus.text === "Stop");
    await press("Enter");

    // Behind the first transfer: back to the start, and on to that mark, past the one of the boot.
    await tabTo(page, (focus) => focus.id === "to-start");
    await press("Enter");
    await tabTo(page, (focus) => focus.id === "mark-after");
    await press("Enter");
    await press("Enter");
    await settle(page);
    const point = Number(await page.inputValue("#point"));
    const { log, base } = await savedLog(page, { flushes: false });
    const { entry, total } = (await totalsWithout(await LogReader.open(log), base, point)).find(({ total }) => total !== TOTAL);
    await tabTo(page, (focus) => focus.entry === `${entry}`);
    await press("Space");
    await settle(page);
    await tabTo(page, (focus) => focus.id === "crash");
    await forgetScreen(page);
    await press("Enter");
    assert.equal(await crashSaid(page), saidOf(total));
    await page.waitForFunction(isInSight, await verdict(crashed(page)).elementHandle());
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, "it scrolls sideways");
  });
}

/** The tool verifies the log that the page saves, and replays it to the disk that the page saves. */
async function isTheTools(t, page, point) {
  const path = folder(t);
  const { log, base } = await savedLog(page, { flushes: true });
  writeFileSync(path("log"), log);
  writeFileSync(path("base"), base);
  assert.match(logwrites("verify", path("log")), /^ok /);
  await goTo(page, point);
  await loseExactly(page, []);
  const { bytes } = await download(page, "#save-image");
  logwrites("replay", path("log"), "--base", path("base"), "--output", path("image"), "--at", `${point}`);
  assert.ok(bytes.equals(readFileSync(path("image"))));
}

async function loseExactly(page, entries) {
  for (const toggle of await page.locator("#crash-toggles button").all()) {
    const isWanted = entries.includes(await toggle.getAttribute("data-entry"));
    if (((await toggle.getAttribute("aria-pressed")) === "true") !== isWanted) await toggle.click();
    await settle(page);
  }
}

/** Presses Tab until what has the focus is meant. */
async function tabTo(page, isMeant) {
  const seen = [];
  for (let nth = 0; nth < 150; nth += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const { id, role, textContent, dataset } = document.activeElement;
      return { id, role, text: textContent.trim(), entry: dataset.entry };
    });
    if (isMeant(focus)) return;
    seen.push(focus.id || focus.text || focus.role);
  }
  assert.fail(`Tab does not come there, but to ${seen}`);
}

function isInSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

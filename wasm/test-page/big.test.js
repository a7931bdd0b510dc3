/** A log of a million entries: how long it takes to open, and how long frames take while one scrolls, scrubs and zooms. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { patternOf, sectorOf, writeBigLog } from "./big-log.js";
import { folder, logwrites, openPage } from "./support.js";
import { settle } from "./viewer.js";

const NR_ENTRIES = 1_000_000;
/** The aims. A machine that is busy may take ten times as long without anything being wrong. */
const OPEN_MS = 3000;
const FRAME_MS = 50;
const SLACK = 10;

test("a log of 1,000,000 entries opens and scrolls", async (t) => {
  const path = folder(t)("big.log");
  writeBigLog(path, NR_ENTRIES);
  assert.match(logwrites("info", path), /1000000|1,000,000/);
  const page = await openPage(t);
  const openMs = await timeOpening(page, path);
  t.diagnostic(`open: ${openMs.toFixed(0)} ms (aim: ${OPEN_MS})`);
  assert.ok(openMs < OPEN_MS * SLACK);
  assert.equal(await page.textContent("#point-of"), "of 1,000,000");
  const nrRows = await page.locator("#entries .row").count();
  assert.ok(nrRows < 60, `${nrRows} rows are in the page`);

  for (const [name, act] of Object.entries(ACTS)) {
    const frames = await worstFrame(page, act);
    t.diagnostic(`${name}: the longest frame ${frames.worst.toFixed(1)} ms of ${frames.nr} (aim: ${FRAME_MS})`);
    assert.ok(frames.nr > 20, `${name}: ${frames.nr} frames`);
    assert.ok(frames.worst < FRAME_MS * SLACK, `${name}: a frame of ${frames.worst} ms`);
  }

  await goesWhere(page);
});

/** From giving the file to the list being on the screen, as the page sees it. */
async function timeOpening(page, path) {
  await page.evaluate(() => {
    document.querySelector("#file-first").addEventListener("change", () => (window.openedAt = performance.now()), { capture: true });
    window.reports = 0;
    new MutationObserver(() => (window.reports += 1)).observe(document.querySelector("#progress-text"), { childList: true });
    window.hasOpened = new Promise((resolve) => {
      const look = () => (document.querySelector("#entries .row") ? resolve(performance.now()) : requestAnimationFrame(look));
      look();
    });
  });
  await page.setInputFiles("#file-first", path);
  const ms = await page.evaluate(async () => (await window.hasOpened) - window.openedAt);
  assert.ok((await page.evaluate(() => window.reports)) > 5, "it says how far it is");
  return ms;
}

/** What a person does, a step a frame. */
const ACTS = {
  "scrolling by the bar": (step) => {
    const box = document.querySelector("#entries");
    box.scrollTop = (box.scrollHeight * step) / 60;
  },
  "scrolling by the wheel": (step) => {
    document.querySelector("#entries").dispatchEvent(new WheelEvent("wheel", { deltaY: step % 2 ? 240 : 120, cancelable: true }));
  },
  "scrubbing": (step) => {
    const slider = document.querySelector("#slider");
    slider.value = `${(1_000_000 * ((step * 37) % 60)) / 60}`;
    slider.dispatchEvent(new Event("input"));
  },
  "zooming": (step) => {
    const event = new WheelEvent("wheel", { deltaY: step < 30 ? -120 : 120, clientX: 500, clientY: 200, cancelable: true });
    document.querySelector("#timeline").dispatchEvent(event);
  },
  "filtering": (step) => {
    const input = document.querySelector("#filter-sectors");
    input.value = step % 2 ? `${step * 1000}+5000` : "";
    input.dispatchEvent(new Event("input"));
  },
};

/** The time from one frame to the next, the longest of sixty. */
function worstFrame(page, act) {
  return page.evaluate(async (source) => {
    const act = (0, eval)(`(${source})`);
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    await frame();
    await frame();
    let [last, worst] = [await frame(), 0];
    for (let step = 0; step < 60; step += 1) {
      act(step);
      const now = await frame();
      worst = Math.max(worst, now - last);
      last = now;
    }
    return { worst, nr: 60 };
  }, act.toString());
}

/** A long list can be gone through entry by entry, wherever one is, and the bytes are the log's. */
async function goesWhere(page) {
  await page.fill("#filter-sectors", "");
  await page.fill("#point", "777778");
  await page.keyboard.press("Enter");
  await settle(page);
  await page.waitForFunction(() => document.querySelector("#entries .row[aria-selected=true]")?.id === "entry-777777");
  await page.focus("#entries");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.querySelector("#entries .row[aria-selected=true]")?.id === "entry-777778");
  await page.waitForFunction((sector) => document.querySelector("#sector").value === `${sector}`, sectorOf(777778));
  const code = patternOf(777778).toString(16).padStart(2, "0");
  await page.waitForFunction((code) => document.querySelector("#hexdump .codes")?.textContent.startsWith(`${code} ${code} `), code);
}

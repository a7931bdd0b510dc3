/** Going to points, and the sectors there. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { writeBigLog } from "./big-log.js";
import { demoLog, folder, logwrites, NR_DEMO, openPage } from "./support.js";
import { choose, download, dumped, goTo, listed, settle } from "./viewer.js";

test("every sector at every point is that of the disk that the tool makes", async (t) => {
  const path = folder(t);
  const { log, base } = demoLog(path);
  const page = await openPage(t);
  await choose(page, log, base);
  await page.uncheck("#follow");
  for (let point = 0; point <= NR_DEMO; point += 1) {
    logwrites("replay", log, "--base", base, "--output", path(`${point}`), "--at", `${point}`);
    const image = readFileSync(path(`${point}`));
    await goTo(page, point);
    for (const sector of [8, 24, 128, 257, 1024, 2047]) {
      await page.fill("#sector", `${sector}`);
      await page.press("#sector", "Enter");
      await page.waitForFunction((offset) => Number.parseInt(document.querySelector("#hexdump .address").textContent, 16) === offset, sector * 512);
      assert.deepEqual(await dumped(page), image.subarray(sector * 512, (sector + 1) * 512), `sector ${sector} at point ${point}`);
    }
  }
});

test("what changed is marked, and counted", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  await goTo(page, 10); // entry 9 wrote 512 bytes of 0x55 at 4 KiB
  assert.equal(await page.inputValue("#sector"), "8");
  assert.equal(await page.textContent("#sector-status"), "written by entry 9 · 512 bytes changed since point 9");
  const marked = await page.locator("#hexdump .codes mark").allTextContents();
  assert.equal(marked.join(" ").split(/\s+/).length, 512);
  await goTo(page, 12); // entry 11 wrote the same again
  assert.equal(await page.textContent("#sector-status"), "written by entry 11 · no change since point 11");
  await page.selectOption("#since", "mark");
  await page.waitForFunction(() => document.querySelector("#sector-status").textContent.endsWith("512 bytes changed since point 9"));
  await page.selectOption("#since", "base");
  await page.waitForFunction(() => document.querySelector("#sector-status").textContent.endsWith("since point 0"));

  // From write to write of one sector.
  await page.click("#writer-before");
  await settle(page);
  assert.equal(await page.inputValue("#point"), "10");
  await page.click("#writer-before");
  await settle(page);
  assert.equal(await page.inputValue("#point"), "2");
  await page.click("#writer-after");
  await settle(page);
  assert.equal(await page.inputValue("#point"), "10");
});

test("slider, buttons, list and timeline all go to points", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  const point = async () => (await settle(page), Number(await page.inputValue("#point")));
  assert.equal(await point(), NR_DEMO);
  for (const [button, expected] of [["mark-before", 9], ["flush-before", 8], ["flush-before", 3], ["mark-after", 4], ["entry-after", 5], ["entry-before", 4], ["to-start", 0], ["flush-after", 3], ["to-end", 14]]) {
    await page.click(`#${button}`);
    assert.equal(await point(), expected, button);
  }
  await page.locator("#slider").fill("6");
  assert.equal(await point(), 6);
  await page.click("#entry-2");
  assert.equal(await point(), 3);
  assert.equal(await page.getAttribute("#entry-2", "aria-selected"), "true");

  // Sixteen entries are the least that the timeline shows.
  const { width } = await page.locator("#timeline").boundingBox();
  await page.click("#timeline", { position: { x: (width * 10.5) / 16, y: 80 } });
  assert.equal(await point(), 11);
  await page.hover("#timeline", { position: { x: (width * 5.5) / 16, y: 50 } });
  await settle(page);
  assert.equal(await page.textContent("#tip"), "#5  fua  256+2  1 KiB");
});

test("the timeline is dragged aside", async (t) => {
  const path = folder(t)("log");
  writeBigLog(path, 400);
  const page = await openPage(t);
  await choose(page, path);
  await goTo(page, 200);
  for (let nth = 0; nth < 2; nth += 1) await page.click("#zoom-in");
  await settle(page);
  const { x, y, width, height } = await page.locator("#timeline").boundingBox();
  const pointAt = async (/** @type {number} */ part) => {
    await page.click("#timeline", { position: { x: width * part, y: height - 4 } });
    await settle(page);
    return Number(await page.inputValue("#point"));
  };
  const [left, right] = [await pointAt(0.1), await pointAt(0.9)];
  const shown = (right - left) / 0.8;
  assert.ok(shown > 60 && shown < 240, `${shown} entries are in sight`);
  await page.mouse.move(x + width * 0.75, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.5, y + height / 2, { steps: 8 });
  await page.mouse.up();
  await settle(page);
  assert.equal(Number(await page.inputValue("#point")), right, "that is not a click");
  assert.ok(Math.abs((await pointAt(0.1)) - left - shown / 4) <= 2, "by a quarter of what is in sight");
});

test("the timeline's picture has each kind where it belongs", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  const colours = await page.evaluate(() => {
    const canvas = document.querySelector("#timeline");
    const context = canvas.getContext("2d");
    const height = canvas.height - 30;
    const at = (entry, part) => [...context.getImageData(Math.round(((entry + 0.4) * canvas.width) / 16), 20 + Math.round(height * part), 1, 1).data];
    return { write: at(10, 0.2505), fua: at(5, 0.1255), discard: at(6, 0.55), nothing: at(6, 0.8) };
  });
  const [write, fua, discard] = [colours.write, colours.fua, colours.discard];
  assert.ok(fua[2] > fua[1] + 60, `violet: ${fua}`);
  assert.ok(discard[0] > discard[2] + 60, `amber: ${discard}`);
  assert.ok(write[3] > 150 && Math.abs(write[0] - write[2]) < 60, `slate: ${write}`);
  assert.equal(colours.nothing[3], 0);
});

test("writes of the unflushed epoch can be lost, and come back", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  assert.equal(await page.textContent("#crash-text"), "Everything before this point is durable: a crash loses nothing.");
  await goTo(page, 7); // the epoch from entry 3 on: a write, a FUA, which is durable, a discard
  assert.deepEqual(await page.locator("#crash-toggles button").allTextContents(), ["#6 1024+256", "#4 128+1"]);
  await goTo(page, 12);
  assert.match(await page.textContent("#crash-text"), /^3 writes that no flush covers/);
  await page.locator("#entry-11 .lose").click();
  await page.locator("#crash-toggles [data-entry='9']").click();
  await settle(page);
  assert.deepEqual(await page.locator("#crash-toggles [aria-pressed=true]").allTextContents(), ["#11 8+2", "#9 8+1"]);
  await page.waitForFunction(() => document.querySelector("#hexdump .codes").textContent.startsWith("22 22 22"));
  assert.match(await page.textContent("#sector-status"), /^written by entry 1 /);
  await goTo(page, 11); // entry 11 is not in yet
  assert.deepEqual(await page.locator("#crash-toggles [aria-pressed=true]").allTextContents(), ["#9 8+1"]);
  await goTo(page, 14);
  await goTo(page, 12);
  assert.equal(await page.locator("#crash-toggles [aria-pressed=true]").count(), 0, "a flush has made them durable");
  assert.equal((await listed(page)).length, NR_DEMO);
});

test("the address names the state that is shown, and leads to it", async (t) => {
  const path = folder(t);
  const { log, base } = demoLog(path);
  const page = await openPage(t);
  const visit = (/** @type {string} */ hash) => page.evaluate((hash) => void (location.hash = hash), hash);
  const shown = async () => {
    await settle(page);
    return [await page.inputValue("#point"), ...(await page.locator("#crash-toggles [aria-pressed=true]").allTextContents())];
  };
  const isNamed = (/** @type {string} */ hash) => page.waitForFunction((hash) => location.hash === hash, hash);
  await visit("at=12^9,11");
  await choose(page, log, base);
  assert.deepEqual(await shown(), ["12", "#11 8+2", "#9 8+1"]);
  const saved = await download(page, "#save-image");
  logwrites("replay", log, "--base", base, "--output", path("then"), "--at", "12^9,11");
  assert.ok(saved.bytes.equals(readFileSync(path("then"))));

  await page.click("#crash-toggles [data-entry='9']");
  await isNamed("#at=12^11");
  await goTo(page, 5);
  await isNamed("#at=5");
  await visit("at=7%5E4");
  assert.deepEqual(await shown(), ["7", "#4 128+1"]);

  await visit("at=7^0");
  assert.equal(await page.textContent("#error-text"), "entry 0 is durable at point 7: flush 2 covers it");
  assert.deepEqual(await shown(), ["7", "#4 128+1"]);
});

test("chance chooses what is lost, and all comes back", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t);
  await choose(page, log, base);
  assert.ok(await page.isHidden("#lose-by-chance"), "nothing can be lost");
  await goTo(page, 12);
  const lost = async () => (await settle(page), page.locator("#crash-toggles [aria-pressed=true]").count());
  assert.ok(await page.isDisabled("#keep-all"));
  const seen = new Set();
  // All of four outcomes for three writes within 100 tries, but for one in 10^5.
  for (let nth = 0; nth < 100 && seen.size < 4; nth += 1) {
    await page.click("#lose-by-chance");
    seen.add(await lost());
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3]);
  while ((await lost()) === 0) await page.click("#lose-by-chance");
  await page.click("#keep-all");
  assert.equal(await lost(), 0);
});

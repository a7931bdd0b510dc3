/** The guest's panel: what runs, pauses, stops, starts again; a disk image of one's own; the licences. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { button, running, screen, startBank, untilTransfer, waitFor } from "./guest.js";
import { openPage } from "./support.js";
import { listed, settle } from "./viewer.js";

test("it starts again, stops, and continues after a pause", async (t) => {
  const page = await openPage(t);
  await startBank(page, { flushes: true });
  await untilTransfer(page, 1);
  await button(page, "Pause").click();
  await button(page, "Resume").waitFor();
  await settle(page);
  const paused = await nrEntries(page);
  await page.waitForTimeout(500);
  assert.equal(await nrEntries(page), paused);
  await button(page, "Resume").click();
  await page.waitForFunction((paused) => Number(document.querySelector("#slider").max) > paused, paused);
  await button(page, "Restart").click();
  await page.waitForFunction(() => document.querySelector("#sessions").length === 2 && Number(document.querySelector("#slider").max) > 0);
  await button(page, "Stop").click();
  await waitFor(running(page).locator(".guest-state"), "stopped");
  assert.ok(await button(page, "Pause").isDisabled());
  await button(page, "Start").waitFor();
});

test("marks come from the guest and by hand", async (t) => {
  const page = await openPage(t);
  await startBank(page, { flushes: true });
  await page.getByRole("textbox", { name: "Name of the mark" }).fill("by hand");
  await button(page, "Mark").click();
  await untilTransfer(page, 2);
  await button(page, "Stop").click();
  await page.fill("#filter-mark", "a");
  await settle(page);
  const marks = (await listed(page)).map((row) => row.replace(/^\d+ mark /, ""));
  assert.equal(marks[0], "the bank opens");
  assert.ok(marks.includes("by hand") && marks.includes("transfer 1"), `${marks}`);
});

test("a disk image of one's own, which has the keyboard while its screen has the focus", async (t) => {
  const page = await openPage(t);
  await page.getByRole("radio", { name: "a disk image" }).check();
  await button(page, "Start").click();
  await waitFor(page.locator(".guest-error"), "Choose a disk image first.");

  // Sends on the serial line what is typed: INT 16h, OUT, again. One byte more than a sector.
  const image = Buffer.alloc(513);
  Buffer.from([0xb4, 0x00, 0xcd, 0x16, 0xba, 0xf8, 0x03, 0xee, 0xeb, 0xf6]).copy(image);
  Buffer.from([0x55, 0xaa]).copy(image, 510);
  await page.getByLabel("Choose a disk image").setInputFiles({ name: "echo.img", mimeType: "application/octet-stream", buffer: image });
  await button(page, "Start").click();
  await waitFor(running(page).locator("h3"), "echo.img");
  await waitFor(screen(running(page)), "Booting from Hard Disk");
  await waitFor(page.locator("#summary"), "disk1 KiB");

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
  assert.deepEqual(await listed(page), ["0 mark typed for the page"]);
});

test("the licences are there, and the bank's source", async (t) => {
  const page = await openPage(t);
  for (const [name, text] of [["v86", "Redistribution and use"], ["SeaBIOS", "GNU LESSER GENERAL PUBLIC LICENSE"], ["The bank's source", "FLUSH CACHE"]]) {
    const href = await page.getByRole("link", { name }).getAttribute("href");
    const response = await page.request.get(new URL(href, page.url()).href);
    assert.ok((await response.text()).includes(text), name);
  }
});

async function nrEntries(page) {
  return Number(await page.getAttribute("#slider", "max"));
}

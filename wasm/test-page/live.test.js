/** A log that grows while it is shown, and booting from a crash, with a guest that only writes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { demoLog, folder, openPage } from "./support.js";
import { choose, goTo, listed, settle } from "./viewer.js";

/** It takes the place of the guest's panel: real disks and logs, and the test is the machine. */
const GUEST = `
  import { LoggedDisk, LogWriter } from "../logwrites.js";
  export function mountGuest(place, { onLog }) {
    window.booted = [];
    window.start = (base) => {
      const disk = new LoggedDisk({ base, log: new LogWriter() });
      onLog(disk.log, disk);
      return disk;
    };
    place.append("a guest");
    return { boot: (disk, label) => window.booted.push({ disk, label }), stop() {} };
  }
`;

test("a live log grows in every view", async (t) => {
  const page = await openPage(t, { guest: GUEST });
  assert.ok(await page.isVisible("#guest"));
  await page.evaluate(() => {
    window.disk = window.start(new Uint8Array(1 << 20).fill(9));
    window.disk.write(512, new Uint8Array(512).fill(1));
  });
  await page.waitForSelector("#entry-0");
  assert.equal(await page.inputValue("#point"), "1");
  await page.evaluate(() => {
    for (let nth = 0; nth < 2000; nth += 1) window.disk.write((nth % 2048) * 512, new Uint8Array(512).fill(2));
    window.disk.mark("here");
    window.disk.flush();
  });
  await page.waitForFunction(() => document.querySelector("#point-of").textContent === "of 2,003");
  await settle(page);
  assert.equal(await page.inputValue("#point"), "2003", "who looks at the end goes with it");
  assert.equal((await listed(page)).at(-1), "2,002 flush");

  await goTo(page, 1000);
  await page.evaluate(() => window.disk.write(0, new Uint8Array(1024).fill(3)));
  await page.waitForFunction(() => document.querySelector("#point-of").textContent === "of 2,004");
  assert.equal(await page.inputValue("#point"), "1000", "who looks elsewhere stays there");

  await page.evaluate(() => window.disk.log.rewind(500));
  await page.waitForFunction(() => document.querySelector("#point-of").textContent === "of 500");
  await settle(page);
  assert.equal(await page.inputValue("#point"), "500");
});

test("the guest boots from the crash that is chosen", async (t) => {
  const { log, base } = demoLog(folder(t));
  const page = await openPage(t, { guest: GUEST });
  await choose(page, log, base);
  await goTo(page, 12);
  await page.click("#crash-toggles [data-entry='9']");
  await page.click("#crash-toggles [data-entry='11']");
  await page.click("#crash");
  await page.waitForFunction(() => window.booted.length === 1);
  const { label, byteLength, first } = await page.evaluate(async () => {
    const [{ disk, label }] = window.booted;
    return { label, byteLength: disk.byteLength, first: [(await disk.readAt(4096, 1))[0], (await disk.readAt(256 << 10, 1))[0]] };
  });
  assert.deepEqual({ label, byteLength, first }, { label: "demo.log at 12, without 9, 11", byteLength: 1 << 20, first: [0x22, 0x66] });

  // The crashed guest has a log of its own, and the first one can be gone back to.
  await page.evaluate(() => window.start(window.booted[0].disk).write(0, new Uint8Array(512).fill(7)));
  await page.waitForFunction(() => document.querySelector("#point-of").textContent === "of 1");
  assert.deepEqual(await page.locator("#sessions option").allTextContents(), ["demo.log", "guest 1"]);
  await page.selectOption("#sessions", "demo.log");
  await page.waitForFunction(() => document.querySelector("#point-of").textContent === "of 14");
  assert.equal(await page.inputValue("#point"), "12", "where one was");
  assert.equal(await page.locator("#crash-toggles [aria-pressed=true]").count(), 2);
});

/** The package's sink into the page's own file system, in a worker of Chromium: a log that lasts, a quota, a lost handle. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";

import { folder, logwrites, openPage } from "./support.js";

/** What the worker does, by name, with the package and a file's name. */
const ACTS = `
  const acts = {
    async fill({ init, LoggedDisk, LogWriter, LogReader, opfsSink }, { nrWrites }) {
      const failures = [];
      const log = new LogWriter({ sink: await opfsSink(FILE), onfailure: ({ code }) => failures.push(code) });
      const disk = new LoggedDisk({ byteLength: 64 << 20, log });
      const bytes = new Uint8Array(64 << 10);
      let refused = "";
      try {
        for (let nth = 0; nth < nrWrites; nth += 1) {
          disk.write((nth % 1024) * bytes.length, bytes.fill(nth & 0xff));
          if (nth % 16 === 15) await disk.flush();
        }
        await log.close();
      } catch ({ code }) {
        refused = code;
      }
      await log._salvaged;
      const sink = log.failure ? null : await opfsSink(FILE);
      const reader = sink ? await LogReader.open({ byteLength: sink.byteLength, readAt: sink.read }) : await LogReader.open(log.source());
      const writes = [...reader.entries()].filter(({ kind }) => kind === "write");
      const payload = (await reader.payload(writes.at(-1).index))[0];
      sink?.close();
      return { failures, refused, nrEntries: reader.nrEntries, nrWrites: writes.length, payload };
    },

    /** Goes on with the log of another run. */
    async resume({ LogWriter, opfsSink }) {
      const log = await LogWriter.resume({ sink: await opfsSink(FILE) });
      log.mark("resumed");
      await log.close();
      return log.nrEntries;
    },

    /** The handle is lost in the middle: closed by another script. */
    async lose({ LogReader, LogWriter, opfsSink }) {
      const file = await (await navigator.storage.getDirectory()).getFileHandle(FILE, { create: true });
      const handle = await file.createSyncAccessHandle();
      const failures = [];
      const log = new LogWriter({ sink: await opfsSink(handle), onfailure: ({ code }) => failures.push(code) });
      log.write(0, new Uint8Array(4096));
      await log.flush();
      log.write(4096, new Uint8Array(4096));
      handle.close();
      const codes = [];
      for (let nth = 0; nth < 2; nth += 1) await log.flush().catch(({ code }) => codes.push(code));
      return { failures, codes, nrEntries: (await LogReader.open(await file.getFile())).nrEntries };
    },

    /** How the handle is used: how long each write is, and when it is flushed. */
    async watch({ LogWriter, opfsSink }) {
      const file = await (await navigator.storage.getDirectory()).getFileHandle(FILE, { create: true });
      const handle = await file.createSyncAccessHandle();
      const calls = [];
      const watched = {
        read: (bytes, at) => handle.read(bytes, at),
        write: (bytes, at) => (calls.push(bytes.length), handle.write(bytes, at)),
        flush: () => (calls.push("flush"), handle.flush()),
        getSize: () => handle.getSize(),
        truncate: (length) => handle.truncate(length),
        close: () => handle.close(),
      };
      const log = new LogWriter({ sink: await opfsSink(watched) });
      calls.length = 0;
      for (let nth = 0; nth < 1000; nth += 1) log.write(nth * 4096, new Uint8Array(4096));
      const unflushed = calls.splice(0);
      await log.flush();
      const flushed = calls.splice(0);
      log.mark("more");
      await log.sync();
      const synced = calls.splice(0);
      handle.close();
      return { unflushed, flushed, synced };
    },
  };
`;

const WORKER = `
  import * as logwrites from "/logwrites.js";
  const FILE = "test.log";
  ${ACTS}
  onmessage = async ({ data: { name, options } }) => {
    try {
      await logwrites.init();
      postMessage({ told: await acts[name](logwrites, options) });
    } catch (error) {
      postMessage({ error: String(error?.stack ?? error) });
    }
  };
`;

/** A page, and what its worker tells. */
async function inWorker(page, name, options = {}) {
  const { told, error } = await page.evaluate(
    (task) =>
      new Promise((resolve) => {
        const worker = new Worker("/test-worker.js", { type: "module" });
        worker.onmessage = ({ data }) => {
          worker.terminate();
          resolve(data);
        };
        worker.onerror = ({ message }) => resolve({ error: message });
        worker.postMessage(task);
      }),
    { name, options },
  );
  assert.equal(error, undefined);
  return told;
}

async function openWithWorker(t) {
  const page = await openPage(t);
  await page.route("**/test-worker.js", (route) => route.fulfill({ contentType: "text/javascript", body: WORKER }));
  return page;
}

test("a log in the page's own file system is one that the tool verifies, and continues in another run", async (t) => {
  const page = await openWithWorker(t);
  const told = await inWorker(page, "fill", { nrWrites: 100 });
  assert.deepEqual([told.failures, told.refused, told.nrWrites, told.payload], [[], "", 100, 99]);
  assert.equal(await inWorker(page, "resume"), told.nrEntries + 1);
  const text = await page.evaluate(async () => {
    const file = await (await (await navigator.storage.getDirectory()).getFileHandle("test.log")).getFile();
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result.split(",")[1]);
      reader.readAsDataURL(file);
    });
  });
  const path = folder(t)("opfs.log");
  writeFileSync(path, Buffer.from(text, "base64"));
  assert.equal(logwrites("verify", path), `ok ${path}: ${told.nrEntries + 1} entries\n`);
});

test("the end of the quota is reported once, and the log stays readable up to there", async (t) => {
  const page = await openWithWorker(t);
  const session = await page.context().newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(page.url()).origin, quotaSize: 8 << 20 });
  const told = await inWorker(page, "fill", { nrWrites: 1000 });
  assert.deepEqual([told.failures, told.refused], [["SINK_FULL"], "SINK_FULL"]);
  assert.ok(told.nrWrites > 16 && told.nrWrites < 128, `${told.nrWrites} writes of 64 KiB in 8 MiB`);
  assert.equal(told.payload, told.nrWrites - 1);
});

test("the loss of a handle is reported once, and what was flushed is readable", async (t) => {
  const told = await inWorker(await openWithWorker(t), "lose");
  assert.deepEqual(told, { failures: ["SINK_LOST"], codes: ["SINK_LOST", "SINK_LOST"], nrEntries: 2 });
});

test("the handle gets batches of 1 MiB, and is flushed at a flush and at sync", async (t) => {
  const { unflushed, flushed, synced } = await inWorker(await openWithWorker(t), "watch");
  assert.deepEqual([...new Set(unflushed)], [1 << 20]);
  assert.equal(unflushed.length, Math.floor((1000 * (4096 + 512) + 512) / (1 << 20)));
  for (const calls of [flushed, synced]) assert.equal(calls.at(-1), "flush");
});

test("outside a worker it says what is missing", async (t) => {
  const page = await openPage(t);
  const code = await page.evaluate(async () => {
    const { opfsSink } = await import("/logwrites.js");
    return opfsSink("page.log").then(() => "none", ({ code }) => code);
  });
  assert.equal(code, "UNSUPPORTED");
});

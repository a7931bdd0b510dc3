/** The package's sink into the page's own file system, in a worker of Chromium: a log that lasts, and a quota. */

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";

import { folder, logwrites, openPage } from "./support.js";

const WORKER = `
  import { init, LoggedDisk, LogWriter, LogReader, opfsSink } from "/logwrites.js";
  onunhandledrejection = ({ reason }) => { throw reason; };
  onmessage = async ({ data: { nrWrites, name } }) => {
    await init();
    const failures = [];
    const log = new LogWriter({ sink: await opfsSink(name), onfailure: ({ code }) => failures.push(code) });
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
    const sink = log.failure ? null : await opfsSink(name);
    const reader = sink ? await LogReader.open({ byteLength: sink.byteLength, readAt: sink.read }) : await LogReader.open(log.source());
    const last = reader.nrEntries - 1;
    const writes = [...reader.entries()].filter(({ kind }) => kind === "write");
    const payload = (await reader.payload(writes.at(-1).index))[0];
    sink?.close();
    postMessage({ failures, refused, nrEntries: reader.nrEntries, nrWrites: writes.length, payload, last });
  };
`;

async function run(t, nrWrites, quota) {
  const page = await openPage(t);
  await page.route("**/test-worker.js", (route) => route.fulfill({ contentType: "text/javascript", body: WORKER }));
  if (quota) {
    const session = await page.context().newCDPSession(page);
    await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(page.url()).origin, quotaSize: quota });
  }
  const told = await page.evaluate(
    (nrWrites) =>
      new Promise((resolve, reject) => {
        const worker = new Worker("/test-worker.js", { type: "module" });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage({ nrWrites, name: "test.log" });
      }),
    nrWrites,
  );
  return { page, told };
}

test("a log in the page's own file system is one that the tool verifies", async (t) => {
  const { page, told } = await run(t, 100);
  assert.deepEqual([told.failures, told.refused, told.nrWrites, told.payload], [[], "", 100, 99]);
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
  assert.equal(logwrites("verify", path), `ok ${path}: ${told.nrEntries} entries\n`);
});

test("where the quota ends, it is told once, and the log stays readable up to there", async (t) => {
  const { told } = await run(t, 1000, 8 << 20);
  assert.deepEqual([told.failures, told.refused], [["SINK_FULL"], "SINK_FULL"]);
  assert.ok(told.nrWrites > 16 && told.nrWrites < 128, `${told.nrWrites} writes of 64 KiB in 8 MiB`);
  assert.equal(told.payload, told.nrWrites - 1);
});

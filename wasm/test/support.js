/** What the tests share: a seeded generator, bases and sinks of every kind. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { accessHandle, fromUrl, init, LoggedDisk, LogWriter, memorySink, opfsSink } from "logwrites";
import { fileSink, fileSource } from "logwrites/node";

await init();

/** Repeatable: `LOGWRITES_SEED` sets where it starts. */
export const SEED = Number(process.env.LOGWRITES_SEED ?? 1);

/**
 * Numbers from a seed (mulberry32).
 *
 * @param {number} seed
 */
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    below: (limit) => next() % limit,
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    pick: (list) => list[next() % list.length],
  };
}

/** A folder that goes when the test does. */
export function folder(t) {
  const path = mkdtempSync(join(tmpdir(), "logwrites-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return (name) => join(path, name);
}

/** Runs the command line tool, and gives what it prints. `LOGWRITES` is its path. */
export function logwrites(...args) {
  assert.ok(existsSync(LOGWRITES), `${LOGWRITES} is missing: cargo build -p logwrites`);
  return execFileSync(LOGWRITES, args, { encoding: "utf8" });
}

const LOGWRITES = process.env.LOGWRITES ?? fileURLToPath(new URL("../../target/debug/logwrites", import.meta.url));

/** Bases of every kind over the same bytes. Each is made by a function of the bytes and the test. */
export const BASES = {
  bytes: (bytes) => bytes,
  "array buffer": (bytes) => bytes.slice().buffer,
  blob: (bytes) => new Blob([bytes]),
  "readAt with promises": (bytes) => ({
    byteLength: bytes.length,
    readAt: async (offset, length) => {
      await new Promise((resolve) => setImmediate(resolve));
      return bytes.slice(offset, offset + length);
    },
  }),
  "readAt at once": (bytes) => ({ byteLength: bytes.length, readAt: (offset, length) => bytes.subarray(offset, offset + length) }),
  url: async (bytes, t) => fromUrl(await serve(t, bytes)),
  file: async (bytes, t) => {
    const path = folder(t)("base");
    const { writeFileSync } = await import("node:fs");
    writeFileSync(path, bytes);
    return fileSource(path);
  },
  "disk at a point": (bytes) => {
    const disk = new LoggedDisk({ byteLength: bytes.length, log: new LogWriter() });
    disk.write(0, bytes);
    disk.mark("then");
    disk.write(0, new Uint8Array(bytes.length).fill(0xee));
    return disk.diskAt(2);
  },
};

/** Sinks of every kind. */
export const SINKS = {
  memory: () => memorySink(),
  "file with batches": (t) => fileSink(folder(t)("log")),
  "access handle": (t) => opfsSink(accessHandle(new LoggedDisk({ byteLength: 64 << 20, log: new LogWriter() }))),
  "small batches": (t) => ({ ...unbatched(fileSink(folder(t)("log"))), batchBytes: 1000 }),
  "promises": () => late(memorySink()),
  "promises, small batches": () => ({ ...late(memorySink()), batchBytes: 777 }),
  "write and flush alone": () => {
    const memory = memorySink();
    return { write: (offset, bytes) => memory.write(offset, bytes), flush() {} };
  },
};

function unbatched(sink) {
  return { write: sink.write, flush: sink.flush, read: sink.read, truncate: sink.truncate, close: sink.close };
}

/** A sink that takes its time, and whose memory must not be changed meanwhile. */
export function late(sink) {
  const later = () => new Promise((resolve) => setImmediate(resolve));
  return {
    async write(offset, bytes) {
      const before = bytes.slice();
      await later();
      if (Buffer.compare(before, bytes) !== 0) throw new Error("the bytes were changed while they were being written");
      sink.write(offset, bytes);
    },
    async flush() {
      await later();
    },
    async read(offset, length) {
      await later();
      return sink.read(offset, length);
    },
    async truncate(byteLength) {
      await later();
      sink.truncate(byteLength);
    },
  };
}

/**
 * A server of one file, on this machine alone.
 *
 * @param {{ ranges?: boolean }} [options]
 */
export async function serve(t, bytes, { ranges = true } = {}) {
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (!range || !ranges) {
      response.end(bytes);
      return;
    }
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, bytes.length)];
    response.writeHead(206, { "content-range": `bytes ${start}-${end - 1}/${bytes.length}`, etag: '"1"' });
    response.end(bytes.subarray(start, end));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}/disk`;
}

/** All bytes of a stream. */
export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

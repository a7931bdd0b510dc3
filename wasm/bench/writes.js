/** What one write costs, and how fast a log goes into a sink. Runs in Node and in a worker of a browser. */

import { inTurns, timed } from "./rounds.js";

/** @typedef {typeof import("logwrites")} Package */
/** @typedef {import("./rounds.js").Row} Row */

const KIB = 1024;
const MIB = 1024 * KIB;
const NR_ROUNDS = 7;
const NR_SINK_ROUNDS = 5;
const SINK_BYTES = 256 * MIB;

/**
 * One write into a log in memory, and beside it one copy of its bytes into memory of the same size.
 *
 * @param {Package} logwrites
 * @param {string} where
 * @returns {AsyncGenerator<Row>}
 */
export async function* writeRows({ LoggedDisk, LogWriter }, where) {
  for (const [size, count] of [[512, 40_000], [4 * KIB, 20_000], [64 * KIB, 2000]]) {
    const bytes = new Uint8Array(size).fill(1);
    const ns = (/** @type {number} */ seconds) => (seconds / count) * 1e9;
    const logged = () => {
      const disk = new LoggedDisk({ byteLength: MIB, log: new LogWriter() });
      return ns(timed(() => {
        for (let nth = 0; nth < count; nth += 1) disk.write((nth * size) % MIB, bytes);
      }));
    };
    const copied = () => {
      /** @type {Uint8Array[]} */
      const chunks = [];
      // As the log in memory does: a chunk is made when it is needed.
      return ns(timed(() => {
        for (let nth = 0; nth < count; nth += 1) {
          const offset = nth * size;
          if (offset % MIB === 0) chunks.push(new Uint8Array(MIB));
          chunks[Math.floor(offset / MIB)].set(bytes, offset % MIB);
        }
      }));
    };
    yield { what: `${where}: a write of ${label(size)}`, ...(await inTurns(NR_ROUNDS, logged, copied)), beside: "one copy of the bytes", unit: "ns" };
  }
}

/**
 * Writes of 4 KiB and 64 KiB through a log into a sink, with a flush at the end; beside it 1 MiB at a time into the same.
 *
 * @param {Package} logwrites
 * @param {string} what
 * @param {() => import("logwrites").Sink | Promise<import("logwrites").Sink>} makeSink an empty one each time
 * @returns {AsyncGenerator<Row>}
 */
export async function* sinkRows(logwrites, what, makeSink) {
  for (const size of [4 * KIB, 64 * KIB]) {
    const rounds = await inTurns(NR_SINK_ROUNDS, async () => throughLog(logwrites, await makeSink(), size), async () => straight(await makeSink()));
    yield { what: `${what}, writes of ${label(size)}`, ...rounds, beside: "1 MiB at a time, no log", unit: "MB/s" };
  }
}

/**
 * @param {Package} logwrites
 * @param {import("logwrites").Sink} sink
 * @param {number} size
 */
async function throughLog({ LoggedDisk, LogWriter }, sink, size) {
  const bytes = new Uint8Array(size).fill(1);
  const disk = new LoggedDisk({ byteLength: MIB, log: new LogWriter({ sink }) });
  const start = performance.now();
  for (let done = 0; done < SINK_BYTES; done += size) {
    disk.write(done % MIB, bytes);
    const room = disk.log.room();
    if (room) await room;
  }
  await disk.flush();
  const seconds = (performance.now() - start) / 1000;
  await disk.log.close();
  return SINK_BYTES / 1e6 / seconds;
}

/** @param {import("logwrites").Sink} sink */
async function straight(sink) {
  const bytes = new Uint8Array(MIB).fill(1);
  const start = performance.now();
  for (let offset = 0; offset < SINK_BYTES; offset += MIB) await sink.write(offset, bytes);
  await sink.flush();
  const seconds = (performance.now() - start) / 1000;
  await sink.close?.();
  return SINK_BYTES / 1e6 / seconds;
}

/** @param {number} bytes */
function label(bytes) {
  return bytes < KIB ? `${bytes} B` : `${bytes / KIB} KiB`;
}

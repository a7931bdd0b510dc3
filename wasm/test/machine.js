/** A guest in v86, its disk in a log. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";

import { ataTap, init, LoggedDisk, LogWriter, markFromSerial } from "logwrites";

await init();

/**
 * Boots a disk in v86, and stops when what the guest has sent on its serial line is `until`.
 *
 * @param {import("logwrites").SourceLike} base
 * @param {{ until: RegExp }} options
 * @returns {Promise<{ printed: string, disk: LoggedDisk }>}
 */
export async function boot(base, { until }) {
  const disk = new LoggedDisk({ base, log: new LogWriter() });
  const { emulator, printed } = await run("v86", { hda: disk, tap: ataTap({ wasm: WASM, disks: { hda: disk } }), until });
  await emulator.destroy();
  return { printed, disk };
}

/**
 * Starts a version of v86, and stops it when what the guest has sent on its serial line is `until`, at the end of a line.
 *
 * @param {string} packageName
 * @param {{ hda: LoggedDisk, hdb?: LoggedDisk, tap: ReturnType<typeof ataTap>, until: RegExp }} options
 * @returns {Promise<{ emulator: any, printed: string }>}
 */
export async function run(packageName, { hda, hdb, tap, until }) {
  const { V86 } = await import(packageName);
  const emulator = new V86({
    bios: { buffer: bios() },
    memory_size: 16 << 20,
    hda: hda.forV86(),
    hdb: hdb?.forV86(),
    wasm_fn: tap.wasm_fn,
    disable_speaker: true,
    autostart: true,
  });
  const stopMarks = markFromSerial(emulator, hda);
  let printed = "";
  let timer;
  try {
    await new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`the guest is not done after ${TIMEOUT_MS} ms; it printed: ${printed}`)), TIMEOUT_MS);
      emulator.add_listener("serial0-output-byte", (byte) => {
        printed += String.fromCharCode(byte);
        if (byte === NEWLINE && until.test(printed)) resolve();
      });
    });
  } finally {
    clearTimeout(timer);
    stopMarks();
    await emulator.stop();
  }
  return { emulator, printed };
}

export function bios() {
  assert.ok(existsSync(BIOS), `${BIOS} is missing: apt-get install seabios`);
  return new Uint8Array(readFileSync(BIOS)).buffer;
}

const BIOS = "/usr/share/seabios/bios.bin";
const WASM = new URL("../node_modules/v86/build/v86.wasm", import.meta.url);
export const TIMEOUT_MS = 60_000;
const NEWLINE = 10;

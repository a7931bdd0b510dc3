/** The Linux guest: booted once, and from there gone on with, each time over another disk. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { V86 } from "v86";
import { ataTap, init, LoggedDisk, LogWriter, markFromSerial } from "logwrites";

await init();

/** A guest that waits to be told what to do, and has not looked at its disks yet. */
export class Linux {
  #state;

  constructor(state) {
    this.#state = state;
  }

  /**
   * Fetches, builds and boots it.
   *
   * @param {Disks} [disks] of the kind that it will have in each run
   */
  static async boot(disks = loggedDisks()) {
    execFileSync(here("fetch"), [GUEST], { stdio: ["ignore", "ignore", "inherit"] });
    const file = (name) => ({ buffer: arrayBuffer(`${GUEST}/${name}`) });
    const emulator = start(disks, { bzimage: file("vmlinuz"), initrd: file("initrd"), cmdline: COMMAND_LINE });
    await printed(emulator, /what to do\?/);
    await emulator.stop();
    const linux = new Linux(await emulator.save_state());
    await emulator.destroy();
    return linux;
  }

  /**
   * Has it do something.
   *
   * @param {"fill" | "check"} what
   * @param {Disks} disks
   * @returns {Promise<{ text: string, ms: number }>} what it printed, and how long it took
   */
  async run(what, disks) {
    const emulator = start(disks, { initial_state: { buffer: this.#state } });
    await new Promise((resolve) => emulator.add_listener("emulator-started", resolve));
    const text = printed(emulator, /all done/);
    const begin = performance.now();
    emulator.serial0_send(`${what}\n`);
    try {
      return { text: await text, ms: performance.now() - begin };
    } finally {
      await emulator.destroy();
    }
  }
}

/**
 * The disks of a guest.
 *
 * @typedef {object} Disks
 * @property {object} options of v86
 * @property {LoggedDisk} [hda] the first, if it is in a log
 * @property {LoggedDisk} [hdb] the second
 */

/**
 * Disks that are in logs.
 *
 * @param {import("logwrites").SourceLike | null} [base] of the first one; zeros, if there is none
 * @returns {Disks & { hda: LoggedDisk, hdb: LoggedDisk }}
 */
export function loggedDisks(base = null) {
  const hda = new LoggedDisk({ base, byteLength: DISK_BYTES, log: new LogWriter() });
  const hdb = new LoggedDisk({ byteLength: LOG_DISK_BYTES, log: new LogWriter() });
  // The guest has not looked at its disks when its state is saved, so they may be others when it is restored.
  for (const disk of [hda, hdb]) disk.set_state = () => {};
  const { wasm_fn } = ataTap({ wasm: readFileSync(WASM), disks: { hda, hdb } });
  return { options: { hda: hda.forV86(), hdb: hdb.forV86(), wasm_fn }, hda, hdb };
}

/** The same as v86 has them by itself: buffers. @returns {Disks} */
export function plainDisks() {
  const [hda, hdb] = [DISK_BYTES, LOG_DISK_BYTES].map((byteLength) => ({ buffer: new ArrayBuffer(byteLength) }));
  return { options: { hda, hdb, wasm_path: WASM } };
}

function start({ options, hda }, more) {
  const emulator = new V86({
    bios: { buffer: arrayBuffer(BIOS) },
    memory_size: 128 << 20,
    disable_speaker: true,
    autostart: true,
    ...options,
    ...more,
  });
  if (hda) markFromSerial(emulator, hda);
  return emulator;
}

/** What the guest sends on its serial line, until it is this. */
function printed(emulator, until) {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`the guest has not said ${until} after ${TIMEOUT_MS} ms, but: ${text}`)), TIMEOUT_MS);
    emulator.add_listener("serial0-output-byte", (byte) => {
      text += String.fromCharCode(byte);
      if (byte !== NEWLINE || !until.test(text)) return;
      clearTimeout(timer);
      resolve(text.replaceAll("\r", ""));
    });
  });
}

function arrayBuffer(path) {
  assert.ok(existsSync(path), `${path} is missing: apt-get install seabios, and see fetch`);
  return new Uint8Array(readFileSync(path)).buffer;
}

function here(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}

const GUEST = here("../../target/linux-guest");
const BIOS = "/usr/share/seabios/bios.bin";
const WASM = here("../node_modules/v86/build/v86.wasm");
const COMMAND_LINE = "console=ttyS0,115200 tsc=reliable mitigations=off random.trust_cpu=on cryptomgr.notests loglevel=3";
const DISK_BYTES = 8 << 20;
const LOG_DISK_BYTES = 32 << 20;
const TIMEOUT_MS = 300_000;
const NEWLINE = 10;

/** A guest's run with its disks in logs, and beside it the same guest with plain buffers of v86's own. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { V86 } from "v86";
import { ataTap, LoggedDisk, LogWriter, markFromSerial } from "logwrites";

import { bankImage } from "../test/bank.js";
import { inTurns } from "./rounds.js";

const NR_ROUNDS = 11;
const NR_LINUX_ROUNDS = 5;
const NR_TRANSFERS = 2000;
const WASM = fileURLToPath(new URL("../node_modules/v86/build/v86.wasm", import.meta.url));
const BIOS = "/usr/share/seabios/bios.bin";

/**
 * The bank without a pause, which writes thousands of times a second.
 *
 * @returns {AsyncGenerator<import("./rounds.js").Row>}
 */
export async function* bankRows() {
  const image = bankImage({ flushes: true, nrTransfers: 0 });
  const bios = readFileSync(BIOS);
  const plain = () => run(bios, { hda: { buffer: image.slice().buffer }, wasm_path: WASM });
  const inside = new Inside();
  const logged = () => {
    const hda = new LoggedDisk({ base: image.slice(), log: new LogWriter() });
    inside.watch(hda);
    return run(bios, { hda: hda.forV86(), wasm_fn: ataTap({ wasm: readFileSync(WASM), disks: { hda } }).wasm_fn }, hda);
  };
  await plain(); // so that neither has to be compiled first
  await logged();
  const what = `the bank without a pause: ${NR_TRANSFERS} transfers, ${4 * NR_TRANSFERS} writes and ${2 * NR_TRANSFERS} flushes`;
  const rounds = await inTurns(NR_ROUNDS, () => inside.round(logged), plain);
  yield { what, ...rounds, beside: BESIDE, unit: "ms" };
  yield inside.row("the bank", rounds.ours);
}

/**
 * Debian's Linux making and filling an ext4, through the kernel's dm-log-writes onto a second disk.
 *
 * @returns {AsyncGenerator<import("./rounds.js").Row>}
 */
export async function* linuxRows() {
  const { Linux, loggedDisks, plainDisks } = await import("../test-linux/linux.js");
  const [one, other] = [await Linux.boot(loggedDisks()), await Linux.boot(plainDisks())];
  const inside = new Inside();
  const fill = async (/** @type {any} */ linux, /** @type {any} */ disks) => (await linux.run("fill", disks)).ms;
  const logged = () => {
    const disks = loggedDisks();
    inside.watch(disks.hda);
    inside.watch(disks.hdb);
    return fill(one, disks);
  };
  const rounds = await inTurns(NR_LINUX_ROUNDS, () => inside.round(logged), () => fill(other, plainDisks()));
  yield { what: "Linux: mkfs.ext4, 20 files, 40 fsyncs, two disks", ...rounds, beside: BESIDE, unit: "ms" };
  yield inside.row("Linux", rounds.ours);
}

/**
 * How much of a run is spent inside the disks that are logged: reading, writing and flushing, without what v86 does when
 * it is told. What runs side by side differs by more than that from one time to the next. The disks must be in memory,
 * since what is done later is not seen.
 */
class Inside {
  #ms = 0;
  #since = 0;
  /** What each round spent there, in ms. @type {number[]} */
  #rounds = [];

  /** @param {LoggedDisk} disk */
  watch(disk) {
    const methods = /** @type {Record<string, (...args: any[]) => any>} */ (/** @type {any} */ (disk));
    for (const name of ["get", "set", "_flushAndForget"]) {
      const method = methods[name].bind(disk);
      methods[name] = (...args) => {
        this.#enter();
        method(...args.map((arg) => (typeof arg === "function" ? this.#outside(arg) : arg)));
        this.#leave();
      };
    }
  }

  /** @param {() => Promise<number>} act */
  async round(act) {
    this.#ms = 0;
    const ms = await act();
    this.#rounds.push(this.#ms);
    return ms;
  }

  /**
   * @param {string} what
   * @param {number[]} theirs how long each round took, in ms
   * @returns {import("./rounds.js").Row}
   */
  row(what, theirs) {
    return { what: `${what}: inside its logged disks`, ours: this.#rounds, beside: "that run, all of it", theirs, unit: "ms" };
  }

  /** @param {(...args: any[]) => void} callback */
  #outside(callback) {
    return (/** @type {any[]} */ ...args) => {
      this.#leave();
      callback(...args);
      this.#enter();
    };
  }

  #enter() {
    this.#since = performance.now();
  }

  #leave() {
    this.#ms += performance.now() - this.#since;
  }
}

/**
 * Boots, and gives the time from the guest's first word to its last one, in ms.
 *
 * @param {Buffer} bios
 * @param {object} disk options of v86
 * @param {LoggedDisk} [hda] where the guest's marks go
 * @returns {Promise<number>}
 */
async function run(bios, disk, hda) {
  const emulator = new V86({ bios: { buffer: new Uint8Array(bios).buffer }, memory_size: 16 << 20, disable_speaker: true, autostart: true, ...disk });
  if (hda) markFromSerial(emulator, hda);
  let start = 0;
  let line = "";
  const ms = await new Promise((resolve) => {
    emulator.add_listener("serial0-output-byte", (/** @type {number} */ byte) => {
      start ||= performance.now();
      line = byte === NEWLINE ? "" : line + String.fromCharCode(byte);
      if (line === LAST) resolve(performance.now() - start);
    });
  });
  await emulator.destroy();
  return ms;
}

const BESIDE = "v86's own buffer";
const NEWLINE = 10;
const LAST = `transfer ${NR_TRANSFERS + 1}: `;

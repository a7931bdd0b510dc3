/** An emulated PC whose disk is logged. */

import { ataTap, LoggedDisk, LogWriter, markFromSerial } from "../logwrites.js";
import { loadAssets } from "./assets.js";

/** @typedef {import("../logwrites.js").SourceLike} SourceLike */

/**
 * What to start.
 *
 * @typedef {object} Start
 * @property {SourceLike & { byteLength?: number, size?: number }} base its disk, which is never written
 * @property {HTMLElement} screen where v86 draws
 * @property {number} memoryMiB
 * @property {(text: string) => void} onserial what the guest sends on its first serial port
 * @property {(error: Error) => void} onfailure the disk's log has failed; the machine is paused
 */

export class Machine {
  /** The disk, and its log. @type {LoggedDisk} */
  disk;
  /** @type {any} */
  #emulator;

  /**
   * @param {LoggedDisk} disk
   * @param {any} emulator
   */
  constructor(disk, emulator) {
    this.disk = disk;
    this.#emulator = emulator;
  }

  /**
   * Starts a machine; it is running when this resolves.
   *
   * @param {Start} options
   * @returns {Promise<Machine>}
   */
  static async start({ base, screen, memoryMiB, onserial, onfailure }) {
    const { V86, wasm, bios, vgaBios } = await loadAssets();
    const disk = new LoggedDisk({ base, byteLength: wholeSectors(base), log: new LogWriter() });
    const tap = ataTap({ wasm, disks: { hda: disk } });
    // v86 does not tell when its module cannot be made, so the tap's function does.
    const { promise: failed, reject } = Promise.withResolvers();
    const emulator = new V86({
      bios: { buffer: bios },
      vga_bios: { buffer: vgaBios },
      hda: disk.forV86(),
      wasm_fn: (/** @type {any} */ imports) =>
        tap.wasm_fn(imports).catch((error) => {
          reject(error);
          return new Promise(() => {});
        }),
      memory_size: memoryMiB << 20,
      vga_memory_size: VGA_BYTES,
      screen: { container: screen },
      disable_mouse: true,
      disable_speaker: true,
      autostart: true,
    });
    disk.onfailure = (error) => {
      emulator.stop();
      onfailure(error);
    };
    markFromSerial(emulator, disk);
    listenToSerial(emulator, onserial);
    await Promise.race([new Promise((resolve) => emulator.add_listener("emulator-started", resolve)), failed]);
    emulator.keyboard_set_enabled(false);
    return new Machine(disk, emulator);
  }

  get isRunning() {
    return this.#emulator.is_running();
  }

  /** @returns {Promise<void>} */
  pause() {
    return this.#emulator.stop();
  }

  /** @returns {Promise<void>} */
  resume() {
    return this.#emulator.run();
  }

  /** Ends it. The disk and its log stay. @returns {Promise<void>} */
  async stop() {
    this.disk.onfailure = undefined;
    await this.#emulator.destroy();
  }

  /**
   * Whether what is typed on the page goes to the guest.
   *
   * @param {boolean} isTaken
   */
  takeKeyboard(isTaken) {
    this.#emulator.keyboard_set_enabled(isTaken);
  }
}

/**
 * Tells what came on the serial line, in pieces: not for each byte.
 *
 * @param {any} emulator
 * @param {(text: string) => void} onserial
 */
function listenToSerial(emulator, onserial) {
  const decoder = new TextDecoder();
  /** @type {number[]} */
  let waiting = [];
  emulator.add_listener("serial0-output-byte", (/** @type {number} */ byte) => {
    if (waiting.push(byte) > 1) return;
    setTimeout(() => {
      const text = decoder.decode(Uint8Array.from(waiting), { stream: true });
      waiting = [];
      onserial(text);
    }, SERIAL_MS);
  });
}

/**
 * The size of a disk over this base: an image that does not end with a whole sector gets zeros after it.
 *
 * @param {Start["base"]} base
 */
function wholeSectors(base) {
  const byteLength = base.byteLength ?? base.size ?? 0;
  return Math.ceil(byteLength / SECTOR_BYTES) * SECTOR_BYTES;
}

const SECTOR_BYTES = 512;
const VGA_BYTES = 2 << 20;
const SERIAL_MS = 30;

/**
 * Seeing what v86 keeps from its disks: flushes, and the write cache being turned on and off. It watches the ports of the
 * primary ATA channel on their way from the guest to v86.
 */

import { LogError } from "./error.js";

/** @typedef {import("./logged-disk.js").LoggedDisk} LoggedDisk */

/**
 * @typedef {object} AtaTapOptions
 * @property {string | URL | BufferSource | WebAssembly.Module} wasm v86's module: its URL, its bytes, or compiled
 * @property {{ hda?: LoggedDisk, hdb?: LoggedDisk }} disks the disks of the primary channel that are logged
 * @property {boolean} [writeCache] whether the disks say that they have a write cache, without which Linux sends no
 *   flush: they do, if not said
 */

/**
 * What v86 is to be given.
 *
 * @typedef {object} AtaTap
 * @property {(imports: any) => Promise<any>} wasm_fn the option of that name for `V86`
 * @property {(emulator: any) => void} attach gives the emulator its `wasm_source`, as v86's own loader does
 */

/**
 * @param {AtaTapOptions} options
 * @returns {AtaTap}
 */
export function ataTap({ wasm, disks, writeCache = true }) {
  const channel = new Channel([disks.hda, disks.hdb], writeCache);
  /** @type {BufferSource | undefined} */
  let bytes;
  return {
    async wasm_fn(imports) {
      const env = imports?.env;
      const missing = NEEDED.filter((name) => typeof env?.[name] !== "function");
      if (missing.length > 0) {
        throw new LogError("UNSUPPORTED", `this version of v86 lacks the import ${missing.join(", ")}, through which the tap sees the disk's ports`);
      }
      const tapped = { ...imports, env: { ...env, ...channel.tap(env) } };
      if (wasm instanceof WebAssembly.Module) return (await WebAssembly.instantiate(wasm, tapped)).exports;
      const module = typeof wasm === "string" || wasm instanceof URL ? await load(wasm) : wasm;
      bytes = module;
      return (await WebAssembly.instantiate(module, tapped)).instance.exports;
    },
    attach(emulator) {
      emulator.wasm_source = bytes;
    },
  };
}

/** A channel with its two drives. */
class Channel {
  #disks;
  #hasWriteCache;
  /** The drive that the guest has selected. */
  #drive = 0;
  #features = 0;
  /** How many bytes of IDENTIFY's answer were read, while it is being read; otherwise -1. */
  #identify = -1;

  /**
   * @param {(LoggedDisk | undefined)[]} disks
   * @param {boolean} hasWriteCache
   */
  constructor(disks, hasWriteCache) {
    this.#disks = disks;
    this.#hasWriteCache = hasWriteCache;
  }

  /**
   * @param {Record<string, (port: number, value?: number) => any>} env
   * @returns {Record<string, (port: number, value: number) => any>}
   */
  tap(env) {
    const { io_port_write8: write8, io_port_read8: read8, io_port_read16: read16, io_port_read32: read32 } = env;
    return {
      io_port_write8: (port, value) => {
        if (port >= FEATURES && port <= COMMAND) this.#write(port, value & 0xff);
        write8(port, value);
      },
      io_port_read8: (port) => (port === DATA ? this.#data(read8(port), 1) : read8(port)),
      io_port_read16: (port) => (port === DATA ? this.#data(read16(port), 2) : read16(port)),
      io_port_read32: (port) => (port === DATA ? this.#data(read32(port), 4) : read32(port)),
    };
  }

  /**
   * @param {number} port
   * @param {number} value
   */
  #write(port, value) {
    if (port === DRIVE) this.#drive = (value >> 4) & 1;
    else if (port === FEATURES) this.#features = value;
    else if (port === COMMAND) this.#command(value);
  }

  /** @param {number} command */
  #command(command) {
    const disk = this.#disks[this.#drive];
    this.#identify = command === IDENTIFY && disk && this.#hasWriteCache ? 0 : -1;
    if (!disk) return;
    if (command === FLUSH_CACHE || command === FLUSH_CACHE_EXT) {
      disk._flushAndForget();
    } else if (command === SET_FEATURES && this.#hasWriteCache) {
      if (this.#features === ENABLE_WRITE_CACHE) disk.writeThrough = false;
      if (this.#features === DISABLE_WRITE_CACHE) disk.writeThrough = true;
    }
  }

  /**
   * Puts the write cache into what is read of IDENTIFY's answer: word 82 says that there is one, word 85 that it is on.
   *
   * @param {number} value
   * @param {number} length in bytes
   */
  #data(value, length) {
    if (this.#identify < 0) return value;
    const at = this.#identify;
    this.#identify = at + length >= IDENTIFY_BYTES ? -1 : at + length;
    for (const [offset, isSet] of [[82 * 2, true], [85 * 2, !this.#disks[this.#drive]?.writeThrough]]) {
      const shift = (Number(offset) - at) * 8;
      if (isSet && shift >= 0 && shift < length * 8) value |= WRITE_CACHE << shift;
    }
    return value;
  }
}

/** @param {string | URL} url */
async function load(url) {
  if (url instanceof URL && url.protocol === "file:") {
    const name = "node:fs/promises"; // so that bundlers leave it alone
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new LogError("SOURCE_FAILED", `${url}: status ${response.status}`);
  return response.arrayBuffer();
}

const NEEDED = ["io_port_write8", "io_port_read8", "io_port_read16", "io_port_read32"];

const DATA = 0x1f0;
const FEATURES = 0x1f1;
const DRIVE = 0x1f6;
const COMMAND = 0x1f7;

const IDENTIFY = 0xec;
const SET_FEATURES = 0xef;
const FLUSH_CACHE = 0xe7;
const FLUSH_CACHE_EXT = 0xea;

const ENABLE_WRITE_CACHE = 0x02;
const DISABLE_WRITE_CACHE = 0x82;

const IDENTIFY_BYTES = 512;
const WRITE_CACHE = 1 << 5;

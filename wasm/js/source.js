/** What can be read: a base image, a log. */

import { LogError } from "./error.js";

/**
 * Bytes that are somewhere, as anybody may implement them. Offsets and lengths are in bytes.
 *
 * @typedef {object} ReadAt
 * @property {number} byteLength
 * @property {(offset: number, length: number) => Uint8Array | Promise<Uint8Array>} readAt all of these bytes
 * @property {(offset: number, length: number) => Uint8Array} [readSync] the same at once, where that is possible
 * @property {string} [id] by which a saved state knows it again
 */

/** @typedef {Uint8Array | ArrayBuffer | Blob | ReadAt | Source} SourceLike */

/** Bytes that can be read. Whatever is read is checked to be as long as it should. */
export class Source {
  #readAt;
  #readSync;
  #id;

  /** @param {ReadAt & { makeId?: () => string }} from */
  constructor(from) {
    if (!Number.isSafeInteger(from.byteLength) || from.byteLength < 0) {
      throw new LogError("UNSAFE_NUMBER", `a source of ${from.byteLength} bytes: no whole number below 2^53`);
    }
    this.#readAt = from.readAt.bind(from);
    this.#readSync = from.readSync?.bind(from);
    this.#id = from.id ?? from.makeId ?? `custom:${from.byteLength}`;
    this.byteLength = from.byteLength;
  }

  /** What a saved state knows it by. */
  get id() {
    if (typeof this.#id === "function") this.#id = this.#id();
    return this.#id;
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {boolean} [isUrgent] whether it should be at once, where that is possible
   * @returns {Uint8Array | Promise<Uint8Array>}
   */
  read(offset, length, isUrgent = false) {
    const bytes = isUrgent && this.#readSync ? this.#readSync(offset, length) : this.#readAt(offset, length);
    return bytes instanceof Uint8Array
      ? checked(bytes, offset, length)
      : Promise.resolve(bytes).then((bytes) => checked(bytes, offset, length), failed);
  }
}

/**
 * What a value reads as.
 *
 * @param {SourceLike} value
 * @returns {Source}
 */
export function toSource(value) {
  if (value instanceof Source) return value;
  if (value instanceof ArrayBuffer) return fromBytes(new Uint8Array(value));
  if (value instanceof Uint8Array) return fromBytes(value);
  if (typeof Blob !== "undefined" && value instanceof Blob) return fromBlob(value);
  if (typeof (/** @type {any} */ (value)?.readAt) === "function") return new Source(/** @type {ReadAt} */ (value));
  const hint = typeof value === "string" || /** @type {any} */ (value) instanceof URL ? ": await fromUrl(url)" : "";
  throw new LogError("BAD_ARGUMENT", `a source is a Uint8Array, a Blob, or has byteLength and readAt${hint}`);
}

/**
 * Bytes at a URL, read in ranges.
 *
 * @param {string | URL} url
 * @param {RequestInit} [options] for each request
 * @returns {Promise<Source>}
 */
export async function fromUrl(url, options = {}) {
  const first = await request(url, options, 0, 1);
  const total = /\/(\d+)$/.exec(first.headers.get("content-range") ?? "")?.[1];
  await first.arrayBuffer();
  if (first.status !== 206 || total === undefined) {
    throw new LogError("NO_RANGES", `${url}: its server does not serve ranges; fetch it whole, as a Blob`);
  }
  const tag = first.headers.get("etag") ?? first.headers.get("last-modified") ?? "";
  return new Source({
    byteLength: Number(total),
    id: `url:${url}:${total}:${tag}`,
    async readAt(offset, length) {
      const response = await request(url, options, offset, length);
      if (response.status !== 206) throw new LogError("SOURCE_FAILED", `${url}: status ${response.status}`);
      return new Uint8Array(await response.arrayBuffer());
    },
  });
}

/**
 * @param {string | URL} url
 * @param {RequestInit} options
 * @param {number} offset
 * @param {number} length
 */
async function request(url, options, offset, length) {
  const headers = new Headers(options.headers);
  headers.set("range", `bytes=${offset}-${offset + length - 1}`);
  try {
    return await fetch(url, { ...options, headers });
  } catch (cause) {
    throw new LogError("SOURCE_FAILED", `${url}: ${/** @type {Error} */ (cause).message}`, { cause });
  }
}

/** @param {Uint8Array} bytes */
function fromBytes(bytes) {
  const readSync = (/** @type {number} */ offset, /** @type {number} */ length) => bytes.subarray(offset, offset + length);
  return new Source({ byteLength: bytes.length, readAt: readSync, readSync, makeId: () => `bytes:${bytes.length}:${hash(bytes)}` });
}

/** @param {Blob} blob */
function fromBlob(blob) {
  const { name = "", lastModified = "" } = /** @type {Partial<File>} */ (blob);
  /** @type {ReadAt} */
  const source = {
    byteLength: blob.size,
    id: `blob:${name}:${blob.size}:${lastModified}`,
    readAt: async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer()),
  };
  const Reader = /** @type {any} */ (globalThis).FileReaderSync; // in workers
  if (Reader) {
    source.readSync = (offset, length) => new Uint8Array(new Reader().readAsArrayBuffer(blob.slice(offset, offset + length)));
  }
  return new Source(source);
}

/**
 * FNV-1a over words, to tell one base from another.
 *
 * @param {Uint8Array} bytes
 */
function hash(bytes) {
  let hash = 0x811c9dc5;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = bytes.length - (bytes.length % 4);
  for (let at = 0; at < end; at += 4) hash = Math.imul(hash ^ view.getUint32(at, true), 0x01000193);
  for (let at = end; at < bytes.length; at += 1) hash = Math.imul(hash ^ view.getUint8(at), 0x01000193);
  return (hash >>> 0).toString(16);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} offset
 * @param {number} length
 */
function checked(bytes, offset, length) {
  if (bytes?.length !== length) {
    throw new LogError("SOURCE_FAILED", `${length} bytes at ${offset} were asked for, and ${bytes?.length} came`);
  }
  return bytes;
}

/** @param {unknown} cause @returns {never} */
function failed(cause) {
  if (cause instanceof LogError) throw cause;
  throw new LogError("SOURCE_FAILED", `a source failed: ${/** @type {any} */ (cause)?.message ?? cause}`, { cause });
}

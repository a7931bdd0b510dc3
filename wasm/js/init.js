/** Loading the module. */

import load, { initSync } from "../pkg/logwrites_wasm.js";
import { LogError } from "./error.js";

let isReady = false;

/**
 * Loads the module: once, before anything else. Without an argument it is the file beside the script.
 *
 * @param {string | URL | Request | Response | BufferSource | WebAssembly.Module} [wasm]
 * @returns {Promise<void>}
 */
export async function init(wasm) {
  if (isReady) return;
  if (wasm instanceof WebAssembly.Module) {
    initSync({ module: wasm });
  } else {
    const source = wasm ?? new URL("../pkg/logwrites_wasm_bg.wasm", import.meta.url);
    await load({ module_or_path: isFile(source) ? await readFile(source) : source });
  }
  isReady = true;
}

/** Throws if `init()` was not awaited. */
export function assertReady() {
  if (!isReady) throw new LogError("NOT_INITIALISED", "logwrites is not loaded yet: await init() first");
}

/** @param {unknown} source @returns {source is URL} */
function isFile(source) {
  return source instanceof URL && source.protocol === "file:";
}

/**
 * Only Node has files, and its fetch does not read them.
 *
 * @param {URL} url
 * @returns {Promise<BufferSource>}
 */
async function readFile(url) {
  const name = "node:fs/promises"; // so that bundlers leave it alone
  const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
  return readFile(url);
}

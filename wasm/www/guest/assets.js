/** What the build has put beside this file: v86, its BIOS, and the disk images of the bank. Each is fetched once. */

/**
 * What a machine is made of.
 *
 * @typedef {object} Assets
 * @property {any} V86 the class
 * @property {WebAssembly.Module} wasm
 * @property {ArrayBuffer} bios
 * @property {ArrayBuffer} vgaBios
 */

/** @type {Promise<Assets> | null} */
let assets = null;

/** @returns {Promise<Assets>} */
export function loadAssets() {
  assets ??= load().catch((error) => {
    assets = null; // so that the next start tries again
    throw error;
  });
  return assets;
}

/**
 * The disk of the bank, before its first boot.
 *
 * @param {boolean} flushes
 */
export async function bankImage(flushes) {
  return new Uint8Array(await bytes(`bank-${flushes ? "with" : "without"}-flushes.img`));
}

/** What the bank is made of, for people who want to know what it does. */
export const BANK_SOURCE = place("bank.asm.txt");

/** What the licences are of, and where they are. */
export const LICENCES = [
  { name: "v86", href: place("licences/v86.txt") },
  { name: "SeaBIOS", href: place("licences/seabios.txt") },
];

/** @returns {Promise<Assets>} */
async function load() {
  const [{ V86 }, wasm, bios, vgaBios] = await Promise.all([
    import(place("libv86.mjs")),
    bytes("v86.wasm").then((bytes) => WebAssembly.compile(bytes)),
    bytes("bios.bin"),
    bytes("vgabios.bin"),
  ]);
  return { V86, wasm, bios, vgaBios };
}

/** @param {string} name */
async function bytes(name) {
  const response = await fetch(place(name));
  if (!response.ok) throw new Error(`${name} is not on this site (status ${response.status}): wasm/www/guest/build puts it there`);
  return response.arrayBuffer();
}

/** @param {string} name */
function place(name) {
  return new URL(name, import.meta.url).href;
}

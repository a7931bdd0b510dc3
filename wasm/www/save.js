/** Saving: the image of a disk, which may be larger than memory, and a log. */

/** @typedef {import("./logwrites.js").Disk} Disk */
/** @typedef {(done: number, all: number) => void} OnProgress in bytes */

/**
 * Saves the image of a disk, with holes where it is zeros if the file system can.
 *
 * @param {Disk} disk
 * @param {string} name
 * @param {OnProgress} onprogress
 * @returns {Promise<boolean>} whether the person wanted it after all
 */
export async function saveImage(disk, name, onprogress) {
  const file = await pickFile(name);
  if (file === null) return false;
  if (file) await writeImage(disk, await file.createWritable(), onprogress);
  else download(await imageBlob(disk, onprogress), name);
  return true;
}

/**
 * Saves what is in memory, or in a file.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export async function saveBlob(blob, name) {
  const file = await pickFile(name);
  if (file) await blob.stream().pipeTo(await file.createWritable());
  else if (file === undefined) download(blob, name);
}

/**
 * @param {string} suggestedName
 * @returns {Promise<FileSystemFileHandle | null | undefined>} null if the person changed their mind, undefined if the browser
 *   has no such dialogue
 */
async function pickFile(suggestedName) {
  const { showSaveFilePicker } = /** @type {any} */ (window);
  if (!showSaveFilePicker) return undefined;
  try {
    return await showSaveFilePicker({ suggestedName });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") return null;
    throw error;
  }
}

/**
 * @param {Disk} disk
 * @param {FileSystemWritableFileStream} file
 * @param {OnProgress} onprogress
 */
async function writeImage(disk, file, onprogress) {
  try {
    let position = 0;
    for await (const data of disk.image()) {
      if (!isZeros(data)) await file.write({ type: "write", position, data: /** @type {Uint8Array<ArrayBuffer>} */ (data) });
      position += data.length;
      onprogress(position, disk.byteLength);
    }
    await file.truncate(disk.byteLength);
    await file.close();
  } catch (error) {
    await file.abort().catch(() => {});
    throw error;
  }
}

/**
 * The image as a Blob, in which all zeros share one chunk.
 *
 * @param {Disk} disk
 * @param {OnProgress} onprogress
 */
async function imageBlob(disk, onprogress) {
  /** @type {Blob[]} */
  const parts = [];
  /** @type {Blob | null} */
  let zeros = null;
  let position = 0;
  for await (const data of disk.image()) {
    if (isZeros(data)) {
      zeros ??= new Blob([new Uint8Array(data.length)]);
      parts.push(zeros.slice(0, data.length));
    } else parts.push(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (data)]));
    position += data.length;
    onprogress(position, disk.byteLength);
  }
  return new Blob(parts, { type: "application/octet-stream" });
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {Uint8Array} bytes */
function isZeros(bytes) {
  const words = bytes.byteOffset % 8 === 0 ? bytes.length >> 3 : 0;
  for (const word of new BigUint64Array(bytes.buffer, words ? bytes.byteOffset : 0, words)) if (word !== 0n) return false;
  for (let at = words << 3; at < bytes.length; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

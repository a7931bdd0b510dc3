/** Opening logs and base images: dropped, or chosen. */

import { LogError, LogReader } from "./logwrites.js";
import { Session } from "./model/session.js";

/** @typedef {import("./logwrites.js").Progress} Progress */

/**
 * Opens the log among some files; another one is its base image.
 *
 * @param {File[]} files
 * @param {{ onprogress: (progress: Progress) => void, signal: AbortSignal }} options
 * @returns {Promise<{ session: Session | null, base: File | null }>} no session if none is a log
 */
export async function openFiles(files, options) {
  let base = null;
  let session = null;
  for (const file of files) {
    const reader = session ? null : await openLog(file, options);
    if (reader) session = new Session({ name: file.name, log: reader, blob: async () => file, damage: damageOf(reader) });
    else base = file;
  }
  if (session) {
    session.base = base;
    session.baseName = base?.name ?? "";
    await takeIn(session, options.signal);
  }
  return { session, base };
}

/**
 * Lets the page's own file-drop take files wherever they are dropped.
 *
 * @param {(files: File[]) => void} onfiles
 */
export function listenForDrops(onfiles) {
  let depth = 0;
  const show = (/** @type {number} */ by) => {
    depth = by === 0 ? 0 : depth + by;
    document.body.classList.toggle("dropping", depth > 0);
  };
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => hasFiles(event) && show(1));
  addEventListener("dragleave", (event) => hasFiles(event) && show(-1));
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    show(0);
    onfiles([...(event.dataTransfer?.files ?? [])]);
  });
}

/**
 * @param {File} file
 * @param {{ onprogress: (progress: Progress) => void, signal: AbortSignal }} options
 * @returns {Promise<LogReader | null>} null if it is not a log
 */
async function openLog(file, options) {
  try {
    return await LogReader.open(file, { ...options, partial: true });
  } catch (error) {
    if (error instanceof LogError && NO_LOG.has(error.code)) return null;
    throw error;
  }
}

/** @param {LogReader} reader */
function damageOf({ damage, nrEntries }) {
  return damage ? `${damage.message}. The ${nrEntries} entries before it are shown.` : undefined;
}

/**
 * Takes the entries out of the log, with pauses, so that the page stays alive.
 *
 * @param {Session} session
 * @param {AbortSignal} signal
 */
async function takeIn(session, signal) {
  while (session.follow(SLICE_ENTRIES)) {
    await new Promise((resolve) => setTimeout(resolve));
    signal.throwIfAborted();
  }
  session.point = session.columns.length;
}

const NO_LOG = new Set(["NOT_A_LOG", "MALFORMED"]);
const SLICE_ENTRIES = 128 << 10;

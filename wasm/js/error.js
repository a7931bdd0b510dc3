/** What is thrown: errors with a code. */

/**
 * What went wrong. `README.md` says what each means.
 *
 * @typedef {"BAD_ARGUMENT" | "BAD_MARK" | "BAD_SECTOR_SIZE" | "BAD_STATE" | "BUSY" | "CLOSED" | "MALFORMED" | "NO_MEMORY" | "NO_RANGES" | "NO_SPACE"
 *   | "NOT_A_LOG" | "NOT_INITIALISED" | "NOT_SYNC" | "OUT_OF_RANGE" | "SINK_FAILED" | "SINK_FULL" | "SINK_LOST"
 *   | "SINK_NOT_EMPTY" | "SOURCE_FAILED" | "STATE_MISMATCH" | "UNALIGNED" | "UNKNOWN_VERSION" | "UNSAFE_NUMBER"
 *   | "UNSUPPORTED"} LogErrorCode
 */

/** An error of this package. */
export class LogError extends Error {
  /**
   * @param {LogErrorCode} code what went wrong, for programs
   * @param {string} message the same, for people
   * @param {{ cause?: unknown, entry?: number, offset?: number }} [options]
   */
  constructor(code, message, options = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "LogError";
    /** What went wrong, for programs. */
    this.code = code;
    /** The number of the malformed entry, with `MALFORMED`. */
    this.entry = options.entry;
    /** Where in the log that entry is, in bytes, with `MALFORMED`. */
    this.offset = options.offset;
  }

  /**
   * The error for a malformed entry.
   *
   * @param {string} message
   * @param {number} entry
   * @param {number} offset
   */
  static malformed(message, entry, offset) {
    return new LogError("MALFORMED", message, { entry, offset });
  }
}

/**
 * What the module says before it traps, which it never should.
 *
 * @param {string} message
 */
export function panicked(message) {
  console.error(message);
}

/**
 * Throws, where the module's allocator has nothing left: at 4 GiB, or where the system has no more.
 *
 * @returns {never}
 */
export function outOfMemory() {
  throw new LogError("NO_MEMORY", "the module's memory is used up: free disks that are done with, and open the log again");
}

/**
 * The error that an error of a sink becomes.
 *
 * @param {unknown} cause
 * @returns {LogError}
 */
export function sinkError(cause) {
  if (cause instanceof LogError) return cause;
  const { name = "", code = "", message = String(cause) } = /** @type {any} */ (cause ?? {});
  if (name === "QuotaExceededError" || FULL.has(code) || (name === "RangeError" && /alloc/i.test(message))) {
    return new LogError("SINK_FULL", `the log's sink is full: ${message}`, { cause });
  }
  if (name === "InvalidStateError" || name === "NoModificationAllowedError" || LOST.has(code)) {
    return new LogError("SINK_LOST", `the log's sink was closed: ${message}`, { cause });
  }
  return new LogError("SINK_FAILED", `the log's sink failed: ${message}`, { cause });
}

const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
const LOST = new Set(["EBADF", "ENODEV", "ERR_INVALID_STATE"]);

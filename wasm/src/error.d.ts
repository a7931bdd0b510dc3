
/** What went wrong: the `code` of the `Error` that was thrown. */
export type LogErrorCode = "NOT_A_LOG" | "UNKNOWN_VERSION" | "BAD_SECTOR_SIZE";

/** What the functions of this module throw. */
export interface LogError extends Error {
    readonly code: LogErrorCode;
}

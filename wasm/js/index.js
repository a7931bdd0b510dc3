/** Every write that an emulator's disk receives, in a log; the disk at any moment since. See README.md. */

export { ataTap } from "./ata-tap.js";
export { Disk } from "./disk.js";
export { LogError } from "./error.js";
export { History } from "./history.js";
export { init } from "./init.js";
export { LogReader } from "./log-reader.js";
export { LogWriter } from "./log-writer.js";
export { LoggedDisk } from "./logged-disk.js";
export { markFromSerial } from "./serial.js";
export { memorySink, opfsSink } from "./sink.js";
export { accessHandle, syncDisk } from "./skins.js";
export { fromUrl } from "./source.js";

/** @typedef {import("./ata-tap.js").AtaTap} AtaTap */
/** @typedef {import("./ata-tap.js").AtaTapOptions} AtaTapOptions */
/** @typedef {import("./error.js").LogErrorCode} LogErrorCode */
/** @typedef {import("./history.js").Columns} Columns */
/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {import("./history.js").Kind} Kind */
/** @typedef {import("./history.js").Mark} Mark */
/** @typedef {import("./log-writer.js").LogWriterOptions} LogWriterOptions */
/** @typedef {import("./logged-disk.js").LoggedDiskOptions} LoggedDiskOptions */
/** @typedef {import("./scan.js").Progress} Progress */
/** @typedef {import("./sink.js").Sink} Sink */
/** @typedef {import("./skins.js").SyncDisk} SyncDisk */
/** @typedef {import("./source.js").ReadAt} ReadAt */
/** @typedef {import("./source.js").SourceLike} SourceLike */

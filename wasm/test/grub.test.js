/** GRUB as a guest: what its save_env writes is in the log, and it finds it again after a crash. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { LogReader } from "logwrites";
import { boot } from "./machine.js";
import { folder } from "./support.js";

const MODULES = "/usr/lib/grub/i386-pc";
const NR_SECTORS = 16 << 11; // 16 MiB
const PARTITION = 2048;
const ENVIRONMENT_BYTES = 1024;
const DONE = /^GRUB is done/m;

/** What GRUB does: it says what it finds, and saves something else. */
const CONFIG = `
serial --unit=0 --speed=115200
terminal_output serial
set root=(hd0,msdos1)
load_env --file /grubenv
echo "it was \${saved}"
set saved=second
save_env --file /grubenv saved
echo "GRUB is done"
`;

/** A disk with GRUB, and a partition of ext2 that has its environment block. */
function grubDisk(t) {
  const path = folder(t);
  writeFileSync(path("config"), CONFIG);
  mkdirSync(path("root"));
  writeFileSync(path("root/grubenv"), environment("saved=first\n"));
  run("grub-mkimage", "grub-common", ["-O", "i386-pc", "-d", MODULES, "-p", "/", "-c", path("config"), "-o", path("core.img"), ...USED]);
  run("mke2fs", "e2fsprogs", ["-q", "-t", "ext2", "-b", "1024", "-d", path("root"), path("partition"), `${(NR_SECTORS - PARTITION) / 2}k`]);

  const core = readFileSync(path("core.img"));
  assert.ok(core.length < (PARTITION - 1) * 512);
  const disk = new Uint8Array(NR_SECTORS * 512);
  disk.set(readFileSync(`${MODULES}/boot.img`).subarray(0, 446));
  disk.set(core, 512);
  disk.set(readFileSync(path("partition")), PARTITION * 512);
  const table = new DataView(disk.buffer, 446);
  table.setUint8(4, 0x83);
  table.setUint32(8, PARTITION, true);
  table.setUint32(12, NR_SECTORS - PARTITION, true);
  table.setUint16(64, 0xaa55, true);
  return disk;
}

function run(command, packageName, words) {
  assert.ok(existsSync(`${MODULES}/boot.img`), `${MODULES} is missing: apt-get install grub-pc-bin`);
  try {
    execFileSync(command, words, { stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    assert.fail(error.code === "ENOENT" ? `${command} is needed: apt-get install ${packageName}` : error.message);
  }
}

/** An environment block of GRUB: a line that names it, the variables, and # up to its end. */
function environment(variables) {
  return `# GRUB Environment Block\n${variables}`.padEnd(ENVIRONMENT_BYTES, "#");
}

const USED = ["biosdisk", "part_msdos", "ext2", "loadenv", "echo", "serial", "terminal"];

test("GRUB's save_env is one write, and there after the next boot", async (t) => {
  const base = grubDisk(t);
  const first = await boot(base, { until: DONE });
  assert.match(first.printed, /it was first/);

  const reader = await LogReader.open(await first.disk.log.blob());
  assert.deepEqual([...reader.entries()].map(({ kind, nrSectors }) => [kind, nrSectors]), [["write", 2n]]);
  const payload = Buffer.from(await reader.payload(0)).toString();
  assert.ok(payload.startsWith("# GRUB Environment Block\n"));
  assert.match(payload, /^saved=second$/m);
  const before = Buffer.from(base.buffer).indexOf(environment("saved=first\n"));
  assert.equal(Number(reader.entry(0).sector) * 512, before);

  assert.match((await boot(first.disk.diskAt(1), { until: DONE })).printed, /it was second/);
  assert.match((await boot(first.disk.diskAt(1, { without: [0] }), { until: DONE })).printed, /it was first/);
});

/**
 * Debian's Linux as a guest, with ext4. The kernel's own dm-log-writes logs the same disk to a second one, so there is a log
 * beside ours that neither of us wrote.
 */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { before, test } from "node:test";

import { LogReader } from "logwrites";
import { collect, folder, logwrites } from "../test/support.js";
import { Linux, loggedDisks } from "./linux.js";

const NR_FILES = 20;
/** So many crashes with a lost write are tried, evenly spread over all there are. */
const NR_LOST = 120;

let linux;
/** The disks that it has filled. */
let filled;
let reader;

before(async () => {
  linux = await Linux.boot();
  filled = loggedDisks();
  assert.doesNotMatch((await linux.run("fill", filled)).text, /FAILED/);
  reader = await LogReader.open(await filled.hda.log.blob());
});

test("its writes, flushes and marks are in the log", () => {
  const nr = { write: 0, flush: 0, mark: 0 };
  for (const { kind } of reader.entries()) nr[kind] += 1;
  assert.deepEqual(Object.keys(nr), ["write", "flush", "mark"]);
  // At least the file's data, the journal's record of it, and two flushes, for each of two syncs a file.
  assert.ok(nr.write > NR_FILES * 4 && nr.flush > NR_FILES * 2, JSON.stringify(nr));
  const names = ["mounted", ...Array.from({ length: NR_FILES }, (_, i) => `file ${i + 1}`), "unmounted"];
  assert.deepEqual(reader.marks().map(({ name }) => name), names);
});

test("our log, and the kernel's own of the same disk, both make the disk", async (t) => {
  const path = folder(t);
  const live = await collect(filled.hda.image());
  writeFileSync(path("base"), new Uint8Array(live.length));
  writeFileSync(path("ours"), new Uint8Array(await (await filled.hda.log.blob()).arrayBuffer()));
  writeFileSync(path("kernels"), await collect(filled.hdb.image()));
  for (const log of ["ours", "kernels"]) {
    logwrites("replay", path(log), "--base", path("base"), "--output", path(`${log}.img`));
    assert.deepEqual(new Uint8Array(readFileSync(path(`${log}.img`))), live, log);
  }
});

test("after each crash e2fsck makes the file system clean, and each file that was synced is there", (t) => checkAll(t, crashesAt(allPoints(), () => [[]])));

test("so it does when a write was lost that no flush had covered", (t) => {
  const all = crashesAt(allPoints(), (unflushed) => unflushed.map((entry) => [entry]));
  assert.ok(all.length >= NR_LOST, `${all.length}`);
  return checkAll(t, Array.from({ length: NR_LOST }, (_, i) => all[Math.floor((i * all.length) / NR_LOST)]));
});

test("the same finds trouble when a write is lost that a flush had covered", async (t) => {
  const point = reader.nextMark(reader.nrEntries >> 1);
  const covered = [...reader.entries(0, point)].filter(({ kind }) => kind === "write").slice(-8);
  const { troubles } = await tryAll(t, covered.map(({ index }) => ({ point, lost: [index] })));
  assert.ok(troubles.length > 0);
});

test("Linux boots from a crash, and finds what was synced", async () => {
  for (const name of ["file 4", "file 11", "file 20"]) {
    const { point } = reader.marks().find((mark) => mark.name === name);
    const { text } = await linux.run("check", loggedDisks(filled.hda.diskAt(point)));
    assert.doesNotMatch(text, /FAILED/);
    assert.match(text, /recovery complete/);
    for (const file of promised(point)) {
      assert.ok(text.includes(`found file${file} with ${nrLines(file)} of ${nrLines(file)} lines\n`), `file ${file} at ${name}: ${text}`);
    }
  }
});

/** All points from the mount on. */
function allPoints() {
  const { point } = reader.marks().find(({ name }) => name === "mounted");
  return Array.from({ length: reader.nrEntries - point + 1 }, (_, i) => point + i);
}

/** The crashes at these points, with what is lost of the writes since the last flush. */
function crashesAt(points, lostOf) {
  return points.flatMap((point) => {
    const unflushed = [];
    for (let entry = point - 1; entry >= 0 && reader.entry(entry).kind !== "flush"; entry -= 1) {
      if (reader.entry(entry).kind === "write") unflushed.push(entry);
    }
    return lostOf(unflushed).map((lost) => ({ point, lost }));
  });
}

async function checkAll(t, crashes) {
  const tried = await tryAll(t, crashes);
  assert.deepEqual(tried.troubles, []);
  assert.ok(tried.nrFiles > crashes.length);
}

/** Repairs the disk after each crash, and reads the files that must be there. */
async function tryAll(t, crashes) {
  const path = folder(t)("image");
  const troubles = [];
  let nrFiles = 0;
  for (const { point, lost } of crashes) {
    writeFileSync(path, await collect(filled.hda.diskAt(point, { without: lost }).image()));
    const files = promised(point);
    const trouble = repair(path) ?? damaged(path, files);
    if (trouble) troubles.push(`at point ${point} without ${lost.join(", ") || "nothing"}: ${trouble}`);
    nrFiles += files.length;
  }
  t.diagnostic(`${crashes.length} crashes, ${nrFiles} files, ${troubles.length} troubles`);
  return { troubles, nrFiles };
}

/** Has e2fsck repair a file system, and gives what it says if it is not clean then. */
function repair(path) {
  const repaired = spawnSync("e2fsck", ["-fy", path], { encoding: "utf8" });
  assert.ok(!repaired.error, `e2fsck is needed: apt-get install e2fsprogs (${repaired.error?.message})`);
  if (repaired.status !== 0 && repaired.status !== REPAIRED) return repaired.stdout;
  const checked = spawnSync("e2fsck", ["-fn", path], { encoding: "utf8" });
  return checked.status === 0 ? null : checked.stdout;
}

/** What is wrong with the first of these files that is not as it was synced, or null. */
function damaged(path, files) {
  const out = (file) => `${path}.${file}`;
  const script = files.map((file) => `dump /file${file} ${out(file)}\n`).join("");
  execFileSync("debugfs", ["-f", "-", path], { input: script, stdio: "pipe" });
  for (const file of files) {
    const content = existsSync(out(file)) ? readFileSync(out(file), "utf8") : "";
    rmSync(out(file), { force: true });
    if (content !== `file ${file}\n`.repeat(nrLines(file))) return `file ${file} has ${content.length} bytes: ${content.slice(0, 100)}`;
  }
  return null;
}

/** The files that the guest has synced at a point and has not begun to remove: see init. */
function promised(point) {
  const synced = reader.marks().flatMap(({ name, point: at }) => (at <= point && name.startsWith("file ") ? [Number(name.slice(5))] : []));
  const last = synced.length;
  return synced.filter((file) => file % 5 !== 1 || file + 4 > last);
}

const nrLines = (file) => file * 100;
/** What e2fsck says when it has changed something, such as the journal's having been replayed. */
const REPAIRED = 1;

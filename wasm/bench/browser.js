/** The same in Chromium: in a worker, which alone can write to the page's own file system at once. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { launchWithProfile, serveSite } from "../test-page/chromium.js";

/** @returns {AsyncGenerator<import("./rounds.js").Row>} */
export async function* browserRows() {
  const profile = mkdtempSync(join(tmpdir(), "logwrites-bench-"));
  const [context, site] = await Promise.all([launchWithProfile(profile), serveSite()]);
  try {
    const page = await context.newPage();
    await context.route("**/bench/*.js", (route) => {
      const name = new URL(route.request().url()).pathname.split("/").at(-1);
      const body = name === "worker.js" ? WORKER : readFileSync(new URL(name, import.meta.url), "utf8");
      return route.fulfill({ contentType: "text/javascript", body });
    });
    await page.goto(site.origin);
    const rows = await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker("/bench/worker.js", { type: "module" });
          worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.rows));
          worker.onerror = ({ message }) => reject(new Error(message));
        }),
    );
    yield* rows;
  } finally {
    await context.close();
    site.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

const WORKER = `
  import * as logwrites from "/logwrites.js";
  import { sinkRows, writeRows } from "/bench/writes.js";
  const folder = await navigator.storage.getDirectory();
  async function emptyFile() {
    await folder.removeEntry("bench.log").catch(() => {});
    return logwrites.opfsSink("bench.log");
  }
  try {
    await logwrites.init();
    const rows = [];
    for await (const row of writeRows(logwrites, "Chromium")) rows.push(row);
    for await (const row of sinkRows(logwrites, "Chromium, in memory", () => logwrites.memorySink())) rows.push(row);
    for await (const row of sinkRows(logwrites, "Chromium, OPFS", emptyFile)) rows.push(row);
    postMessage({ rows });
  } catch (error) {
    postMessage({ error: String(error?.stack ?? error) });
  }
`;

/** Chromium, and the site on a server of its own: what tests, benchmarks and screenshots of the page start from. */

import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";

/** @returns {Promise<import("playwright-core").Browser>} */
export function launch() {
  need(CHROMIUM, "apt-get install chromium");
  return chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
}

/**
 * Chromium as a person has it, with a file system of each page's own that is on the disk.
 *
 * @param {string} profile a folder
 * @returns {Promise<import("playwright-core").BrowserContext>}
 */
export function launchWithProfile(profile) {
  need(CHROMIUM, "apt-get install chromium");
  return chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: ARGUMENTS });
}

/**
 * Serves what wasm/www/build has made, on this machine alone.
 *
 * @returns {Promise<{ origin: string, close(): void }>}
 */
export async function serveSite() {
  need(join(SITE, "guest/bios.bin"), "wasm/build && wasm/www/build");
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    origin: `http://127.0.0.1:${port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 */
function answer(request, response) {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const path = join(SITE, normalize(decodeURIComponent(pathname)).replace(/\/$/, "/index.html"));
  if (!path.startsWith(SITE) || !existsSync(path) || !statSync(path).isFile()) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" });
  response.end(request.method === "HEAD" ? undefined : readFileSync(path));
}

/**
 * @param {string} path
 * @param {string} command what makes it
 */
export function need(path, command) {
  if (!existsSync(path)) throw new Error(`${path} is missing. Run: ${command}`);
}

const SITE = fileURLToPath(new URL("../site/", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGUMENTS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** @type {Record<string, string>} */
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** Serves the guest's panel to a browser on this machine, out of the sources and what the build adds. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** @returns {Promise<{ origin: string, close(): void }>} */
export async function serve({ port = 0 } = {}) {
  const built = mkdtempSync(join(tmpdir(), "logwrites-guest-"));
  execFileSync(here("../www/guest/build"), [join(built, "guest")], { stdio: ["ignore", "ignore", "inherit"] });
  const roots = [built, here("."), here("../www"), here("..")];

  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const file = roots.map((root) => join(root, path)).find((file) => existsSync(file) && statSync(file).isFile());
    if (!file || path.includes("..")) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": POLICY });
    response.end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
      rmSync(built, { recursive: true, force: true });
    },
  };
}

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** That of the page. */
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; connect-src 'self' blob: data:; worker-src 'self' blob:; object-src 'none'";

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { origin } = await serve({ port: Number(process.argv[2] ?? 8000) });
  console.log(`${origin}/page.html`);
}

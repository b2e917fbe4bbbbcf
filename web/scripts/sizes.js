/**
 * Bytes of the first load of each route, compressed as the gateway sends them, against the limits. Run after `npm run build`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { firstLoads, site } from './bundle.js';

/** Bytes of a route. The chat may have more scripts. */
const limits = { js: 120_000, css: 25_000 };
const chatScripts = 160_000;

/** @param {string} route */
const scriptLimit = (route) => (route.startsWith('/chat') ? chatScripts : limits.js);

/** @param {string} file */
function compressedBytes(file) {
  const path = join(site, file);
  return existsSync(`${path}.gz`)
    ? readFileSync(`${path}.gz`).length
    : gzipSync(readFileSync(path), { level: 9 }).length;
}

/** Files of workers, which each first load has in addition, but for those of `*.worker.ts`, which start on demand. */
function workerFiles() {
  const directory = '_app/immutable/workers';
  if (!existsSync(join(site, directory))) return [];
  return readdirSync(join(site, directory))
    .filter((name) => name.endsWith('.js') && !name.includes('.worker-'))
    .map((name) => `${directory}/${name}`);
}

/**
 * Bytes of the scripts and styles of each route.
 * @returns {{ route: string, js: number, css: number }[]}
 */
function measure() {
  const workers = workerFiles();
  const sum = (/** @type {string[]} */ files) => files.reduce((bytes, file) => bytes + compressedBytes(file), 0);
  return firstLoads().map(({ route, scripts, styles }) => ({
    route,
    js: sum([...scripts, ...workers]),
    css: sum(styles),
  }));
}

const sizes = measure().sort((a, b) => b.js - a.js);
const width = Math.max(...sizes.map(({ route }) => route.length));
const kilobytes = (/** @type {number} */ bytes) => `${(bytes / 1000).toFixed(1)} KB`.padStart(9);
for (const { route, js, css } of sizes) {
  process.stdout.write(`${route.padEnd(width)}  js ${kilobytes(js)}  css ${kilobytes(css)}\n`);
}
const large = sizes.filter(({ route, js, css }) => js > scriptLimit(route) || css > limits.css);
if (large.length > 0) {
  const routes = large.map(({ route }) => route).join(', ');
  process.stderr.write(
    `more than ${limits.js} bytes of scripts (${chatScripts} of the chat) or ${limits.css} of styles: ${routes}\nLoad what is not visible at first with import().\n`,
  );
  process.exitCode = 1;
}

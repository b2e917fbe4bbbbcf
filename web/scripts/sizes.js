/**
 * Bytes of the first load of each route, compressed as the gateway sends them, against the limits. Run after `npm run build`.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const root = join(import.meta.dirname, '..');
const site = join(root, 'build/site');
const generated = '.svelte-kit/generated/client-optimized';

/** Bytes of a route. The chat may have more scripts. */
const limits = { js: 120_000, css: 25_000 };
const chatScripts = 160_000;

/** @param {string} route */
const scriptLimit = (route) => (route.startsWith('/chat') ? chatScripts : limits.js);

/**
 * @typedef {{ file: string, src?: string, isEntry?: boolean, imports?: string[], css?: string[] }} Chunk
 * @typedef {{ route: string, js: number, css: number }} Size
 */

/** @returns {Record<string, Chunk>} */
function readManifest() {
  const path = join(root, '.svelte-kit/output/client/.vite/manifest.json');
  if (!existsSync(path)) throw new Error('the page is not built: run `npm run build` first');
  return JSON.parse(readFileSync(path, 'utf8'));
}

/**
 * The routes with the numbers of their layouts and their page, as SvelteKit's router has them. The first two, the outermost layout
 * and the error page, belong to every route.
 * @returns {{ route: string, nodes: number[] }[]}
 */
function readRoutes() {
  const app = readFileSync(join(root, generated, 'app.js'), 'utf8');
  const lines = app.matchAll(/^\s*("(?:[^"\\]|\\.)*"): \[~?(\d+)(?:,\[([\d,]*)\])?/gm);
  return [...lines].map(([, route = '""', page = '', layouts = '']) => {
    const outer = layouts.split(',').filter((layout) => layout !== '');
    return { route: JSON.parse(route), nodes: [0, 1, ...outer.map(Number), Number(page)] };
  });
}

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

/** @returns {Size[]} */
function measure() {
  const manifest = readManifest();
  const entries = Object.keys(manifest).filter((key) => {
    const chunk = manifest[key];
    return chunk?.isEntry && (key.endsWith('/client/entry.js') || key === `${generated}/app.js`);
  });
  if (entries.length !== 2) throw new Error('the manifest of Vite has no entries of SvelteKit: adapt scripts/sizes.js');
  return readRoutes().map(({ route, nodes }) => {
    const js = new Set(workerFiles());
    /** @type {Set<string>} */
    const css = new Set();
    /** @type {Set<string>} */
    const seen = new Set();
    const pending = [...entries, ...nodes.map((node) => `${generated}/nodes/${node}.js`)];
    for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
      const chunk = manifest[key];
      if (seen.has(key)) continue;
      seen.add(key);
      if (chunk === undefined) throw new Error(`the manifest of Vite has no ${key}: adapt scripts/sizes.js`);
      js.add(chunk.file);
      for (const file of chunk.css ?? []) css.add(file);
      pending.push(...(chunk.imports ?? []));
    }
    const sum = (/** @type {Set<string>} */ files) =>
      [...files].reduce((bytes, file) => bytes + compressedBytes(file), 0);
    return { route, js: sum(js), css: sum(css) };
  });
}

const sizes = measure().sort((a, b) => b.js - a.js);
if (sizes.length === 0) throw new Error('no routes found: adapt scripts/sizes.js');
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

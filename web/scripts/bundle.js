/** What a build consists of: its routes, and the files that each of them loads first. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const generated = '.svelte-kit/generated/client-optimized';

/** Where the files are that the gateway serves. */
export const site = join(root, 'build/site');

/**
 * @typedef {{ file: string, src?: string, isEntry?: boolean, imports?: string[], css?: string[] }} Chunk
 * @typedef {{ route: string, scripts: string[], styles: string[] }} FirstLoad
 */

/** @returns {Record<string, Chunk>} */
function readManifest() {
  return JSON.parse(readFileSync(join(root, '.svelte-kit/output/client/.vite/manifest.json'), 'utf8'));
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

/**
 * The files of the first load of each route, with those that they import, as paths below the root of the site.
 * @returns {FirstLoad[]}
 */
export function firstLoads() {
  const manifest = readManifest();
  const entries = Object.keys(manifest).filter((key) => {
    const chunk = manifest[key];
    return chunk?.isEntry && (key.endsWith('/client/entry.js') || key === `${generated}/app.js`);
  });
  if (entries.length !== 2)
    throw new Error('the manifest of Vite has no entries of SvelteKit: adapt scripts/bundle.js');
  const routes = readRoutes();
  if (routes.length === 0) throw new Error('no routes found: adapt scripts/bundle.js');
  return routes.map(({ route, nodes }) => {
    /** @type {Set<string>} */
    const scripts = new Set();
    /** @type {Set<string>} */
    const styles = new Set();
    /** @type {Set<string>} */
    const seen = new Set();
    const pending = [...entries, ...nodes.map((node) => `${generated}/nodes/${node}.js`)];
    for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
      const chunk = manifest[key];
      if (seen.has(key)) continue;
      seen.add(key);
      if (chunk === undefined) throw new Error(`the manifest of Vite has no ${key}: adapt scripts/bundle.js`);
      scripts.add(chunk.file);
      for (const file of chunk.css ?? []) styles.add(file);
      pending.push(...(chunk.imports ?? []));
    }
    return { route, scripts: [...scripts], styles: [...styles] };
  });
}

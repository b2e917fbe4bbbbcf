/**
 * Finishes a build for a fast first load. Run after `vite build`.
 *
 * In the markup, styles come before scripts, since nothing is painted without them; the script of the theme, without which nothing
 * may be painted either, needs no request; and the worker of the event stream starts at once, since what a page shows waits for it.
 *
 * `_app/routes.json` lists the scripts of each route that the markup does not name: the gateway names them in the response for a
 * path of the route, so that the browser requests all of them together.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { firstLoads, site } from './bundle.js';

const INDEX = join(site, 'index.html');

/** @param {string} html */
function finish(html) {
  const styles = take(html, /[ \t]*<link [^>]*rel="stylesheet"[^>]*>\n/g);
  const theme = take(styles.rest, /[ \t]*<script src="\/theme\.js"><\/script>\n/g);
  if (styles.taken === '' || theme.taken === '') throw new Error('the markup has other tags: adapt scripts/finish.js');
  const scripts = [readFileSync(join(site, 'theme.js'), 'utf8').trim(), startWorker()];
  const head = [...scripts.map((script) => `<script>\n${script}\n</script>\n`), styles.taken].join('');
  return theme.rest.replace('<title>', () => `${head}<title>`);
}

/**
 * @param {string} html
 * @param {RegExp} pattern
 */
function take(html, pattern) {
  return { taken: (html.match(pattern) ?? []).join(''), rest: html.replaceAll(pattern, '') };
}

/** As `startWorker` in src/lib/events/link.ts, which connects to the same worker. */
function startWorker() {
  const directory = '_app/immutable/workers';
  const names = readdirSync(join(site, directory)).filter((name) => /^worker-[\w-]+\.js$/.test(name));
  if (names.length !== 1) throw new Error(`${names.length} workers of the event stream: adapt scripts/finish.js`);
  return `try {
  new SharedWorker('/${directory}/${names[0]}', { type: 'module', name: 'mlxm-events' });
} catch {
  // The page does without it.
}`;
}

/**
 * @param {string} path
 * @param {string} text
 */
function write(path, text) {
  writeFileSync(path, text);
  if (existsSync(`${path}.gz`)) writeFileSync(`${path}.gz`, gzipSync(text, { level: 9 }));
  if (existsSync(`${path}.br`)) writeFileSync(`${path}.br`, brotliCompressSync(text));
}

const html = finish(readFileSync(INDEX, 'utf8'));
write(INDEX, html);

const isNamed = (/** @type {string} */ file) => html.includes(`"/${file}"`);
const routes = firstLoads().map(({ route, scripts }) => ({
  route,
  scripts: scripts.filter((file) => !isNamed(file)).map((file) => `/${file}`),
}));
writeFileSync(join(site, '_app/routes.json'), `${JSON.stringify(routes)}\n`);

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import adapter from '@sveltejs/adapter-static';
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

const root = import.meta.dirname;

/** Names a build after its sources, so that equal sources give equal bytes, and a page notices that it is outdated. */
function sourceHash() {
  const hash = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  for (const directory of ['src', 'static']) {
    const entries = readdirSync(join(root, directory), { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    for (const file of files.sort()) hash.update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 12);
}

/** @type {import('@sveltejs/kit').Config} */
export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    runes: ({ filename }) => (filename.includes('node_modules') ? undefined : true),
  },
  kit: {
    // The build script of crates/api embeds what is there, compressed files where there are any.
    adapter: adapter({ pages: 'build/site', fallback: 'index.html', precompress: true }),
    version: { name: sourceHash() },
    typescript: {
      config: (config) => {
        config.include.push('../tests/**/*.ts', '../bench/**/*.ts', '../*.config.ts');
      },
    },
  },
};

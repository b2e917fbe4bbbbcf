import { sveltekit } from '@sveltejs/kit/vite';
import tailwindcss from '@tailwindcss/vite';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { launchOptions } from './chromium.js';

/** The gateway that `npm run dev` passes requests to. */
const gateway = process.env.MLXM_GATEWAY ?? 'http://127.0.0.1:8080';

/** The gateway serves only pages of its own origin, so requests of the dev server are given that origin. */
const proxied = {
  target: gateway,
  changeOrigin: true,
  headers: { origin: gateway, 'sec-fetch-site': 'same-origin' },
};

export default defineConfig({
  plugins: [tailwindcss(), sveltekit()],
  server: {
    host: '127.0.0.1',
    port: 5173,
    proxy: {
      '/api': proxied,
      '/v1': proxied,
      '/health': proxied,
      // As the gateway names it.
      '/preview/frame': { target: gateway, bypass: () => '/preview/frame.html' },
    },
  },
  build: {
    target: 'es2022',
    // The content security policy has no `data:` for scripts, styles and fonts.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        // Otherwise there is a file for each set of pages that share something: dozens of small ones, which compress badly and are
        // a request each.
        codeSplitting: {
          groups: [
            { name: 'common', minShareCount: 6, priority: 1 },
            { name: 'ui', test: /\/src\/lib\/(ui|format)\//, minShareCount: 4 },
          ],
        },
      },
    },
  },
  worker: { format: 'es' },
  // The development server would find them only once they are used, and then reload the page.
  optimizeDeps: { include: ['highlight.js/lib/common', 'katex'] },
  test: {
    expect: { requireAssertions: true },
    projects: [
      {
        extends: true,
        test: {
          name: 'node',
          environment: 'node',
          include: ['src/**/*.test.ts'],
          exclude: ['src/**/*.svelte.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'browser',
          include: ['src/**/*.svelte.test.ts'],
          setupFiles: ['src/lib/ui/testing/setup.ts'],
          browser: {
            enabled: true,
            headless: true,
            viewport: { width: 1280, height: 800 },
            screenshotFailures: false,
            provider: playwright({ launchOptions: launchOptions() }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});

/** The first visit of each page: nothing of it is in the browser's cache. */

import { type Browser, expect } from '@playwright/test';
import { allPages, fill } from '../tests/support/content';
import { SECOND, STARTER } from '../tests/support/gateway';
import type { PageUnderTest } from '../tests/support/pages';
import { test } from '../tests/support/test';
import { record, repeat } from './rows';

test.use({ models: [STARTER, SECOND] });

const FIRST_PAINT_LIMIT_MS = 300;
const INTERACTIVE_LIMIT_MS = 700;

/** A page that has shown its content for so long, and loads nothing, is complete. */
const QUIET_MS = 300;

interface Loading {
  /** When the page had painted its heading, and nothing was loading any more; null while it is not so. */
  readyAt: number | null;
}

declare global {
  interface Window {
    loading: Loading;
  }
}

test('first paint and interactive', async ({ browser, gateway, hub }, info) => {
  await fill(gateway, hub);
  const pages = await allPages(gateway);
  const paints = new Map<string, number[]>(pages.map(({ name }) => [name, []]));
  const interactive = new Map<string, number[]>(pages.map(({ name }) => [name, []]));
  // The first page of a browser is slower, and is not counted.
  for (const page of pages.slice(0, 1)) await visit(browser, gateway.url, page);
  for (let run = 0; run < repeat(); run += 1) {
    for (const page of pages) {
      const times = await visit(browser, gateway.url, page);
      paints.get(page.name)?.push(times.firstPaint);
      interactive.get(page.name)?.push(times.interactive);
    }
  }
  for (const [name, values] of paints) {
    await record(info, { name: `first paint, ${name}`, unit: 'ms', limit: FIRST_PAINT_LIMIT_MS, values });
  }
  for (const [name, values] of interactive) {
    await record(info, { name: `interactive, ${name}`, unit: 'ms', limit: INTERACTIVE_LIMIT_MS, values });
  }
});

/** Opens a page in a new profile of the browser. Times are since the start of the navigation. */
async function visit(browser: Browser, url: string, { name, path, heading }: PageUnderTest) {
  const context = await browser.newContext();
  await context.addInitScript(watchLoading);
  const page = await context.newPage();
  await page.goto(`${url}${path}`);
  await page.evaluate(
    (quiet) =>
      new Promise<void>((resolve) => {
        const check = (): void => {
          const { readyAt } = window.loading;
          if (readyAt !== null && performance.now() - readyAt > quiet) resolve();
          else setTimeout(check, quiet);
        };
        check();
      }),
    QUIET_MS,
  );
  const { firstPaint, readyAt } = await page.evaluate(() => ({
    firstPaint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    readyAt: window.loading.readyAt,
  }));
  await expect(page.getByRole('heading', { level: 1, name: heading })).toBeVisible();
  await context.close();
  if (firstPaint === undefined || readyAt === null) throw new Error(`${name} was not painted`);
  return { firstPaint, interactive: readyAt };
}

/** Complete in itself: its text is sent to the page. */
function watchLoading(): void {
  window.loading = { readyAt: null };
  let [wasReady, changes] = [false, 0];
  const check = (): void => {
    // As `expectLoaded` of the tests.
    const isLoading = document.querySelector('[aria-busy="true"], .late[role="status"]') !== null;
    const isReady = !isLoading && document.querySelector('main h1') !== null;
    if (isReady === wasReady) return;
    wasReady = isReady;
    changes += 1;
    window.loading.readyAt = null;
    if (!isReady) return;
    const change = changes;
    requestAnimationFrame(() => {
      // A task after the frame, when it has been painted.
      setTimeout(() => {
        if (change === changes) window.loading.readyAt = performance.now();
      });
    });
  };
  const attributeFilter = ['aria-busy', 'class', 'role'];
  new MutationObserver(check).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter });
}

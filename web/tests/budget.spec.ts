/** What is deterministic about speed: requests, bytes, connections and elements. Times are measured on an idle machine. */

import { STARTER } from './support/gateway';
import { PAGES, open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

/** Bytes of scripts as they are sent, of the first load of a page. */
const SCRIPT_BYTES = 120_000;
const STYLE_BYTES = 25_000;
const ELEMENTS = 1500;

test('each page loads few and compressed files, and the second time none of them', async ({ page, context }) => {
  for (const { name, path, heading } of PAGES) {
    await test.step(name, async () => {
      const fresh = await context.newPage();
      const client = await context.newCDPSession(fresh);
      await client.send('Network.clearBrowserCache');
      await open(fresh, path, heading);
      const files = await fresh.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .map((entry) => entry as PerformanceResourceTiming)
          .map((entry) => ({
            path: new URL(entry.name).pathname,
            sent: entry.encodedBodySize,
            plain: entry.decodedBodySize,
          })),
      );
      const scripts = files.filter(({ path }) => path.endsWith('.js'));
      const sum = (list: { sent: number }[]) => list.reduce((bytes, { sent }) => bytes + sent, 0);
      expect(sum(scripts), 'bytes of scripts').toBeLessThanOrEqual(SCRIPT_BYTES);
      expect(sum(files.filter(({ path }) => path.endsWith('.css'))), 'bytes of styles').toBeLessThanOrEqual(
        STYLE_BYTES,
      );
      for (const { path, sent, plain } of scripts.filter(({ plain }) => plain > 1000)) {
        expect(sent, `${path} is compressed`).toBeLessThan(plain);
      }
      // With six connections at a time, more would wait in rows.
      expect(files.length, 'requests').toBeLessThanOrEqual(80);
      const elements = await fresh.evaluate(() => document.querySelectorAll('*').length);
      expect(elements, 'elements').toBeLessThanOrEqual(ELEMENTS);

      await fresh.reload();
      await expect(fresh.getByRole('heading', { level: 1, name: heading })).toBeVisible();
      const cached = await fresh.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .map((entry) => entry as PerformanceResourceTiming)
          .filter((entry) => entry.name.includes('/_app/immutable/') && entry.transferSize > 0)
          .map((entry) => entry.name),
      );
      expect(cached, 'files with a hash that were sent again').toEqual([]);
      await fresh.close();
    });
  }
  await page.close();
});

test('an event changes its own tile only', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/profiles', 'Profiles');
  await gateway.request('POST', '/api/profiles', { name: 'First', model: STARTER });
  await expect(page.getByText('First', { exact: true }).first()).toBeVisible();
  const first = await page.getByText('First', { exact: true }).first().elementHandle();
  await page.evaluate(() => {
    const counts = { added: 0 };
    (window as unknown as { counts: typeof counts }).counts = counts;
    new MutationObserver((records) => {
      for (const record of records) counts.added += record.addedNodes.length;
    }).observe(document.querySelector('main') ?? document.body, { childList: true, subtree: true });
  });
  await gateway.request('POST', '/api/profiles', { name: 'Second', model: STARTER });
  await expect(page.getByText('Second', { exact: true }).first()).toBeVisible();
  expect(await first?.evaluate((element) => element.isConnected)).toBe(true);
  const added = await page.evaluate(() => (window as unknown as { counts: { added: number } }).counts.added);
  expect(added).toBeLessThan(100);
});

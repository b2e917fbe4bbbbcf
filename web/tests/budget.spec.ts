/** What is deterministic about speed: requests, bytes, connections and elements. Times are measured on an idle machine. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { CDPSession, Page } from '@playwright/test';
import type { components } from '../src/lib/api/schema';
import { longChat, messages } from './support/chat';
import { EventProxy } from './support/event-proxy';
import { STARTER, type Gateway } from './support/gateway';
import { PAGES, open } from './support/pages';
import { ReplayedRun } from './support/replayed-run';
import { expect, test } from './support/test';

// A trace keeps something for each element in the memory of the page, which is measured here.
test.use({ models: [STARTER], trace: 'off' });

/** Bytes of scripts as they are sent, of the first load of a page. The chat may have more. */
const SCRIPT_BYTES = 120_000;
const CHAT_SCRIPT_BYTES = 160_000;
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
      expect(sum(scripts), 'bytes of scripts').toBeLessThanOrEqual(
        path.startsWith('/chat') ? CHAT_SCRIPT_BYTES : SCRIPT_BYTES,
      );
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

/** A chat with some messages that is open, and what sends it events. */
async function openChat(page: Page, gateway: Gateway) {
  const proxy = await EventProxy.start(Number(new URL(gateway.url).port));
  const imported = await gateway.request<{ id: string }>('POST', '/api/chats/import', longChat(STARTER, 4));
  const { chat } = await gateway.get<components['schemas']['ChatDetail']>(`/api/chats/${imported.id}`);
  await open(page, `${proxy.url}/chat/${chat.id}`, /\S/);
  await expect(messages(page)).toHaveCount(4);
  await proxy.waitForTopic(`chat:${chat.id}`);
  return { proxy, chat };
}

/** What is recited: paragraphs, a table, a list and a quote. Code is left out: it gets its colors later. */
function recited(): string {
  const read = (name: string): string =>
    readFileSync(resolve(import.meta.dirname, '../../tests/reciter/texts', `${name}.md`), 'utf8');
  const parts = read('code').replaceAll(/^```[\s\S]*?^```$/gm, '');
  return [...Array<string>(6).fill(read('endless')), parts, read('endless')].join('\n\n');
}

/** Which blocks of a text were rendered again. */
interface Rendered {
  /** Changes of the page. */
  changes: number;
  /** Blocks of all changes. */
  blocks: number;
  /** Most blocks of a change. */
  most: number;
  /** Blocks that were changed though others came after the one that follows them. */
  finished: number;
}

test('an event of a response renders its last blocks only', async ({ page, gateway }) => {
  const { proxy, chat } = await openChat(page, gateway);
  const run = new ReplayedRun(chat, chat.leaf_id ?? null, 0);
  proxy.send([...run.begin(), ...run.write(['First. ']), run.count()]);
  await run.shown(page);
  const text = messages(page).last().locator('p', { hasText: 'First.' }).locator('..');
  await text.evaluate((element) => {
    const rendered: Rendered = { changes: 0, blocks: 0, most: 0, finished: 0 };
    (window as unknown as { rendered: Rendered }).rendered = rendered;
    new MutationObserver((records) => {
      const blocks = [...element.children];
      const touched = new Set<number>();
      for (const { target, addedNodes } of records) {
        for (const node of target === element ? addedNodes : [target]) {
          const index = blocks.findIndex((block) => block.contains(node));
          if (index !== -1) touched.add(index);
        }
      }
      rendered.changes += 1;
      rendered.blocks += touched.size;
      rendered.most = Math.max(rendered.most, touched.size);
      for (const index of touched) if (index < blocks.length - 2) rendered.finished += 1;
    }).observe(element, { childList: true, characterData: true, subtree: true });
  });

  const parts = recited().match(/[\s\S]{1,8}/g) ?? [];
  for (const part of parts) {
    proxy.send([...run.write([part]), run.count()]);
    await run.shown(page);
  }
  const { changes, blocks, most, finished } = await page.evaluate(
    () => (window as unknown as { rendered: Rendered }).rendered,
  );
  expect(changes, 'events that changed the page').toBeGreaterThan(parts.length / 2);
  expect(finished, 'finished blocks that were rendered again').toBe(0);
  expect(most, 'blocks of an event').toBeLessThanOrEqual(2);
  expect(blocks / changes, 'blocks per event').toBeLessThanOrEqual(1.2);
  proxy.send(run.end());
  await proxy.stop();
});

/** An hour of responses, with ten pieces of text per second. */
const RUNS = 60;
const PARTS = 600;
/** A page keeps at most 2,000 events that it has not read. */
const BATCH = 200;
const GROWTH_MB = 20;

test('an hour of responses leaves little in memory', async ({ context, page, gateway }) => {
  // The stream is then read in the page itself, so that its memory is measured, too.
  await context.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
  const { proxy, chat } = await openChat(page, gateway);
  const client = await context.newCDPSession(page);
  let parent: string | null = chat.leaf_id ?? null;
  const respond = async (number: number): Promise<void> => {
    const run = new ReplayedRun(chat, parent, number);
    parent = run.message;
    proxy.send(run.begin());
    for (let sent = 0; sent < PARTS; sent += BATCH) {
      const parts = Array.from({ length: BATCH }, (_, index) => ((sent + index) % 60 === 59 ? 'end.\n\n' : 'word '));
      proxy.send([...run.write(parts), run.count()]);
      await run.shown(page);
    }
    proxy.send(run.end());
    await expect(messages(page).last().getByRole('button', { name: 'Regenerate' })).toBeVisible();
  };
  // Without what is loaded with the first one.
  await respond(0);
  const before = await heapMegabytes(client);
  for (let number = 1; number <= RUNS; number += 1) await respond(number);
  await expect(messages(page)).toHaveCount(4 + 2 * (RUNS + 1));
  expect((await heapMegabytes(client)) - before, 'MB').toBeLessThan(GROWTH_MB);
  await proxy.stop();
});

/** What the page retains. */
async function heapMegabytes(client: CDPSession): Promise<number> {
  // What is freed by finalizers goes with the next collection.
  for (let time = 0; time < 3; time += 1) await client.send('HeapProfiler.collectGarbage');
  const { usedSize } = await client.send('Runtime.getHeapUsage');
  return usedSize / 1e6;
}

/** The memory of a page after an hour of measurements, one per second, replayed as fast as the page takes them. */

import { type Browser, type CDPSession, expect } from '@playwright/test';
import { STARTER } from '../tests/support/gateway';
import { open, tileOf } from '../tests/support/pages';
import { test } from '../tests/support/test';
import { LAST_SPEED, Replay } from './replay';
import { record, repeat } from './rows';

const SECONDS = 3_600;
/** Longer than a frame: events of one frame are one message, of which only the last measurement counts. */
const INTERVAL_MS = 20;
/** A replay takes more than a minute, and retained memory varies little. */
const MOST_RUNS = 3;
const GROWTH_LIMIT_MB = 20;

test.use({ models: [STARTER] });

test('an hour of measurements', async ({ browser, gateway }, info) => {
  await gateway.load(STARTER);
  const replay = await Replay.start(Number(new URL(gateway.url).port));
  const values: number[] = [];
  for (let run = 0; run < Math.min(repeat(), MOST_RUNS); run += 1) values.push(await growth(browser, replay));
  await replay.stop();
  await record(info, { name: 'heap after an hour, growth', unit: 'MB', limit: GROWTH_LIMIT_MB, values });
});

async function growth(browser: Browser, replay: Replay): Promise<number> {
  const context = await browser.newContext();
  // The stream is then read in the page itself, so that its memory is measured, too.
  await context.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
  const page = await context.newPage();
  await open(page, `${replay.url}/servers`, 'Servers');
  await expect(tileOf(page, STARTER)).toContainText('Ready');
  const client = await context.newCDPSession(page);
  const before = await heapMegabytes(client);
  await replay.play(SECONDS, INTERVAL_MS);
  await expect(tileOf(page, STARTER)).toContainText(`${LAST_SPEED} tok/s`);
  const after = await heapMegabytes(client);
  await context.close();
  return after - before;
}

/** What the page retains. */
async function heapMegabytes(client: CDPSession): Promise<number> {
  await client.send('HeapProfiler.collectGarbage');
  const { usedSize } = await client.send('Runtime.getHeapUsage');
  return usedSize / 1e6;
}

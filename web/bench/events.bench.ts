/** Two hundred events per second, of which the page shows each as a line of a log. */

import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession } from '@playwright/test';
import { test } from '../tests/support/test';
import { GatewayLog, expectLines, fillLog, lineCount, openLog, searchField } from './gateway-log';
import { addProbe, type KeyTimes } from './probe';
import { TASK_LIMIT_MS, record, recordKeys, repeat } from './rows';

const LINES = 10_000;
/** A page keeps 20,000 lines and then drops the first ones; the runs stay below. */
const MOST_LINES = 17_000;

const BATCHES_PER_SECOND = 10;
const EVENTS_PER_BATCH = 20;
const SECONDS = 3;
const EVENTS = SECONDS * BATCHES_PER_SECOND * EVENTS_PER_BATCH;

/** Longer than the search field waits, so that it searches after each key. */
const KEY_INTERVAL_MS = 200;
const TEXT = 'line=0';
const KEYS = [...TEXT, ...Array<string>(TEXT.length).fill('Backspace')];

test('events and keys', async ({ context, page, gateway }, info) => {
  await addProbe(context);
  const log = await GatewayLog.of(gateway);
  await openLog(page, gateway);
  await fillLog(page, log, LINES);
  const client = await context.newCDPSession(page);
  await client.send('Performance.enable');

  const perEvent: number[] = [];
  const keys: KeyTimes = { layout: [], paint: [] };
  const tasks: number[] = [];
  for (let run = 0; run < repeat(); run += 1) {
    if ((await lineCount(page)) > MOST_LINES) {
      await page.getByRole('button', { name: 'Clear the view' }).click();
      await fillLog(page, log, LINES);
    }
    await page.evaluate(() => window.probe.longestTask());
    const quiet = await busyDuring(client, () => delay(SECONDS * 1_000));
    const before = await lineCount(page);
    const busy = await busyDuring(client, async () => {
      await send(log);
      await expectLines(page, before + EVENTS);
    });
    perEvent.push(Math.max(0, busy - quiet) / ((await lineCount(page)) - before));

    await searchField(page).click();
    await page.evaluate(() => window.probe.takeKeys());
    const sent = send(log);
    for (const key of KEYS) {
      await page.keyboard.press(key);
      await delay(KEY_INTERVAL_MS);
    }
    await sent;
    const { layout, paint } = await page.evaluate(() => window.probe.takeKeys());
    keys.layout.push(...layout);
    keys.paint.push(...paint);
    tasks.push(await page.evaluate(() => window.probe.longestTask()));
  }
  await record(info, { name: '200 events/s, main thread per event', unit: 'ms', limit: null, values: perEvent });
  await record(info, { name: '200 events/s, longest task', unit: 'ms', limit: TASK_LIMIT_MS, values: tasks });
  await recordKeys(info, '200 events/s', keys);
});

/** Adds lines to the log, at a constant rate. */
async function send(log: GatewayLog): Promise<void> {
  for (let batch = 0; batch < SECONDS * BATCHES_PER_SECOND; batch += 1) {
    log.append(EVENTS_PER_BATCH);
    await delay(1_000 / BATCHES_PER_SECOND);
  }
}

/** Time of all tasks of the page's main thread meanwhile, in milliseconds. */
async function busyDuring(client: CDPSession, action: () => Promise<void>): Promise<number> {
  const before = await busySeconds(client);
  await action();
  return ((await busySeconds(client)) - before) * 1_000;
}

async function busySeconds(client: CDPSession): Promise<number> {
  const { metrics } = await client.send('Performance.getMetrics');
  const duration = metrics.find(({ name }) => name === 'TaskDuration');
  if (duration === undefined) throw new Error('the browser does not measure the time of tasks');
  return duration.value;
}

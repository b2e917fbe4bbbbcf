/** A chat of 500 messages: how soon it opens, and how it feels to write in it while a response is written. */

import { setTimeout as delay } from 'node:timers/promises';
import { type Page, expect } from '@playwright/test';
import type { components } from '../src/lib/api/schema';
import { composer, longChat, messages } from '../tests/support/chat';
import { EventProxy } from '../tests/support/event-proxy';
import { STARTER, type Gateway } from '../tests/support/gateway';
import { open } from '../tests/support/pages';
import { ReplayedRun } from '../tests/support/replayed-run';
import { test } from '../tests/support/test';
import { addProbe, type KeyTimes } from './probe';
import { TASK_LIMIT_MS, record, recordKeys, repeat } from './rows';

const MESSAGES = 500;
const OPEN_LIMIT_MS = 300;

const TOKENS_PER_SECOND = 200;
const BATCHES_PER_SECOND = 20;
const KEY_INTERVAL_MS = 100;
const KEYS = [...'How is this fast?'];

test.use({ models: [STARTER] });

async function importChat(gateway: Gateway, count: number): Promise<string> {
  const { id } = await gateway.request<{ id: string }>('POST', '/api/chats/import', longChat(STARTER, count));
  return id;
}

/** Opens a chat of the list. */
async function pick(page: Page, id: string, count: number): Promise<void> {
  await page.getByRole('navigation', { name: 'Chats' }).locator(`a[href="/chat/${id}"]`).click();
  await expect(messages(page)).toHaveCount(count);
}

test('opening', async ({ context, page, gateway }, info) => {
  await addProbe(context);
  const [short, long] = [await importChat(gateway, 2), await importChat(gateway, MESSAGES)];
  await open(page, `${gateway.url}/chat/${short}`, /\S/);
  const times: number[] = [];
  const tasks: number[] = [];
  // The first time, scripts are compiled.
  for (let run = -1; run < repeat(); run += 1) {
    await page.evaluate((count) => window.probe.watchMessages(count), MESSAGES);
    await page.evaluate(() => window.probe.longestTask());
    await pick(page, long, MESSAGES);
    const time = await page.evaluate(() => window.probe.opened);
    const task = await page.evaluate(() => window.probe.longestTask());
    if (run >= 0) {
      times.push(time);
      tasks.push(task);
    }
    await pick(page, short, 2);
  }
  await record(info, { name: 'chat of 500 messages, open', unit: 'ms', limit: OPEN_LIMIT_MS, values: times });
  await record(info, { name: 'chat of 500 messages, longest task of open', unit: 'ms', limit: null, values: tasks });
});

test('keys while a response is written', async ({ context, page, gateway }, info) => {
  await addProbe(context);
  const proxy = await EventProxy.start(Number(new URL(gateway.url).port));
  const id = await importChat(gateway, MESSAGES);
  const { chat } = await gateway.get<components['schemas']['ChatDetail']>(`/api/chats/${id}`);
  await open(page, `${proxy.url}/chat/${id}`, /\S/);
  await expect(messages(page)).toHaveCount(MESSAGES);
  await proxy.waitForTopic(`chat:${id}`);

  const keys: KeyTimes = { layout: [], paint: [] };
  const tasks: number[] = [];
  let parent = chat.leaf_id ?? null;
  for (let number = 0; number < repeat(); number += 1) {
    const run = new ReplayedRun(chat, parent, number);
    parent = run.message;
    proxy.send([...run.begin(), ...run.write(['First. ']), run.count()]);
    await run.shown(page);
    await composer(page).click();
    await page.evaluate(() => window.probe.takeKeys());
    await page.evaluate(() => window.probe.longestTask());
    const written = write(proxy, run, KEYS.length * 2 * KEY_INTERVAL_MS);
    for (const key of [...KEYS, ...KEYS.map(() => 'Backspace')]) {
      await page.keyboard.press(key);
      await delay(KEY_INTERVAL_MS);
    }
    await written;
    await run.shown(page);
    const { layout, paint } = await page.evaluate(() => window.probe.takeKeys());
    keys.layout.push(...layout);
    keys.paint.push(...paint);
    tasks.push(await page.evaluate(() => window.probe.longestTask()));
    proxy.send(run.end());
    await expect(messages(page).last().getByRole('button', { name: 'Regenerate' })).toBeVisible();
  }
  await proxy.stop();
  await recordKeys(info, '500 messages, 200 tok/s', keys);
  await record(info, {
    name: '500 messages, 200 tok/s, longest task',
    unit: 'ms',
    limit: TASK_LIMIT_MS,
    values: tasks,
  });
});

/** Writes tokens at a constant rate, in paragraphs with a list now and then. */
async function write(proxy: EventProxy, run: ReplayedRun, durationMs: number): Promise<void> {
  const batches = Math.ceil((durationMs / 1_000) * BATCHES_PER_SECOND);
  const size = TOKENS_PER_SECOND / BATCHES_PER_SECOND;
  for (let batch = 0; batch < batches; batch += 1) {
    const end = batch % 12 === 11 ? 'end.\n\n- **one**\n- `two`\n\n' : 'word ';
    proxy.send([...run.write([...Array<string>(size - 1).fill('word '), end]), run.count()]);
    await delay(1_000 / BATCHES_PER_SECOND);
  }
}

/** Twenty tabs: how many streams of events they have, and how soon all of them show a change. */

import type { Page } from '@playwright/test';
import { STARTER } from '../tests/support/gateway';
import { open } from '../tests/support/pages';
import { Proxy } from '../tests/support/proxy';
import { test } from '../tests/support/test';
import { addProbe } from './probe';
import { record, repeat } from './rows';

const TABS = 20;

test.use({ models: [STARTER] });

test('twenty tabs', async ({ context, gateway }, info) => {
  await addProbe(context);
  const proxy = await Proxy.start(Number(new URL(gateway.url).port));
  const pages: Page[] = [];
  for (let tab = 0; tab < TABS; tab += 1) {
    const page = await context.newPage();
    await open(page, `${proxy.url}/profiles`, 'Profiles');
    pages.push(page);
  }
  const streams: number[] = [];
  const times: number[] = [];
  for (let run = 0; run < repeat(); run += 1) {
    const name = `Profile ${String(run).padStart(4, '0')}`;
    for (const page of pages) await page.evaluate((text) => window.probe.watchText(text), name);
    const start = performance.timeOrigin + performance.now();
    await gateway.request('POST', '/api/profiles', { name, model: STARTER });
    const shown = await Promise.all(pages.map((page) => page.evaluate(() => window.probe.shown)));
    times.push(Math.max(...shown) - start);
    streams.push(proxy.streams);
  }
  await proxy.stop();
  await record(info, { name: '20 tabs, streams of events', unit: 'count', limit: 1, values: streams });
  await record(info, { name: '20 tabs, change shown in all', unit: 'ms', limit: null, values: times });
});

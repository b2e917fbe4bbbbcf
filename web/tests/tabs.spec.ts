/** Many tabs share one stream of events: a browser opens six connections to a host, and the seventh would wait for ever. */

import { waitFor } from './support/environment';
import { STARTER } from './support/gateway';
import { open, tileOf } from './support/pages';
import { Proxy } from './support/proxy';
import { expect, test } from './support/test';

const TABS = 20;

test.use({ models: [STARTER] });

test('twenty tabs have one stream, and all of them are live', async ({ context, gateway }) => {
  test.slow();
  const proxy = await Proxy.start(Number(new URL(gateway.url).port));
  const pages = [];
  for (let tab = 0; tab < TABS; tab += 1) {
    const page = await context.newPage();
    await open(page, `${proxy.url}/servers`, 'Servers');
    pages.push(page);
  }
  await gateway.load(STARTER);
  for (const page of pages) await expect(tileOf(page, STARTER)).toContainText('Ready');
  // Other connections are for files and requests, and may be kept open by the browser.
  expect(proxy.connections).toBeLessThanOrEqual(6);
  expect(proxy.streams).toBe(1);

  // A new gateway is found by all of them, too.
  await gateway.kill();
  for (const page of pages) await expect(page.getByText(/unreachable/i).first()).toBeVisible();
  await gateway.start();
  for (const page of pages) await expect(page.getByText(/unreachable/i)).toHaveCount(0);
  await waitFor('one stream for all tabs', () => proxy.streams === 1 || undefined);
  await proxy.stop();
});

test('a browser without shared workers is live as well', async ({ context, page, gateway }) => {
  await context.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
  await open(page, '/servers', 'Servers');
  await gateway.load(STARTER);
  await expect(tileOf(page, STARTER)).toContainText('Ready');
  await gateway.kill();
  await expect(page.getByText(/unreachable/i).first()).toBeVisible();
  await gateway.start();
  await expect(page.getByText(/unreachable/i)).toHaveCount(0);
});

/** The gateway is killed, or the network is gone, while the page is open. */

import type { Page } from '@playwright/test';
import { waitFor } from './support/environment';
import { composer } from './support/chat';
import { STARTER } from './support/gateway';
import { open, tileOf } from './support/pages';
import { Proxy } from './support/proxy';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

const UNREACHABLE = /unreachable/i;

async function expectOffline(page: Page): Promise<void> {
  await expect(page.getByText(UNREACHABLE).first()).toBeVisible();
}

async function expectOnline(page: Page): Promise<void> {
  await expect(page.getByText(UNREACHABLE)).toHaveCount(0);
}

test('a killed gateway is one line, the data stays, and the next gateway goes on without a reload', async ({
  page,
  gateway,
}) => {
  await gateway.load(STARTER);
  await open(page, '/servers', 'Servers');
  const tile = tileOf(page, STARTER);
  await expect(tile).toContainText('Ready');
  await page.evaluate(() => document.documentElement.setAttribute('data-not-reloaded', ''));

  await gateway.kill();
  await expectOffline(page);
  await expect(tile).toBeVisible();
  const stop = tile.getByRole('button', { name: new RegExp(`^Stop ${STARTER}`) });
  await expect(stop).toHaveAttribute('aria-disabled', 'true');

  await gateway.start();
  await expectOnline(page);
  await expect(tile).toContainText('Ready');
  await expect(page.locator('html')).toHaveAttribute('data-not-reloaded');
  // It is live again.
  const [server] = await gateway.servers();
  await gateway.request('DELETE', `/api/servers/${server?.id}?now=true`);
  await expect(tile).toHaveCount(0);
});

test('a page that was never open says that it waits for the gateway, and opens when it is back', async ({
  page,
  gateway,
}) => {
  const proxy = await Proxy.start(Number(new URL(gateway.url).port));
  await open(page, `${proxy.url}/servers`, 'Servers');
  proxy.cut();
  await expectOffline(page);
  await page.getByRole('navigation').first().getByRole('link', { name: 'Profiles' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Page not loaded' })).toBeVisible();
  proxy.restore();
  await expectOnline(page);
  await expect(page.getByRole('heading', { level: 1, name: 'Profiles' })).toBeVisible();
  await proxy.stop();
});

test('what changed while the network was gone is there afterwards', async ({ page, gateway }) => {
  const proxy = await Proxy.start(Number(new URL(gateway.url).port));
  await open(page, `${proxy.url}/servers`, 'Servers');
  proxy.cut();
  await expectOffline(page);
  await gateway.load(STARTER);
  proxy.restore();
  await expect(tileOf(page, STARTER)).toContainText('Ready');
  await proxy.stop();
});

test('an idle page sends no requests: changes are pushed', async ({ page, gateway }) => {
  const proxy = await Proxy.start(Number(new URL(gateway.url).port));
  await open(page, `${proxy.url}/servers`, 'Servers');
  await waitFor('the stream of events', () => proxy.streams === 1 || undefined);
  // What the page loads on demand at its beginning.
  await page.waitForTimeout(2000);
  const before = proxy.requests.length;
  await page.waitForTimeout(5000);
  // The scripts of the other pages are loaded once.
  const requests = proxy.requests.slice(before).filter((line) => !line.startsWith('GET /_app/'));
  expect(requests).toEqual([]);
  await gateway.load(STARTER);
  await expect(tileOf(page, STARTER)).toContainText('Ready');
  await proxy.stop();
});

test('a new chat sends no requests while its server is measured', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  const proxy = await Proxy.start(Number(new URL(gateway.url).port));
  await open(page, `${proxy.url}/chat`, 'New chat');
  await composer(page).fill('Not sent yet');
  const counts = () => proxy.requests.filter((line) => line === 'POST /api/chats/count');
  // The tokens of the draft are counted once.
  await waitFor('the count', () => counts().length > 0 || undefined);
  await page.waitForTimeout(2000);
  const before = proxy.requests.length;
  await page.waitForTimeout(5000);
  const requests = proxy.requests.slice(before).filter((line) => !line.startsWith('GET /_app/'));
  expect(requests).toEqual([]);
  await proxy.stop();
});

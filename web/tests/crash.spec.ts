/** Flow 4: a worker that is killed while the page is open. */

import { waitFor } from './support/environment';
import { SECOND, STARTER } from './support/gateway';
import { open, tileOf } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER, SECOND] });

test('a killed worker is shown in its place with the cause, and the other tile stays', async ({ page, gateway }) => {
  const killed = await gateway.load(STARTER);
  await gateway.load(SECOND);
  await open(page, '/servers', 'Servers');
  const other = tileOf(page, SECOND);
  await expect(other).toContainText('Ready');
  const element = await other.elementHandle();

  gateway.killWorker(killed);
  const tile = tileOf(page, STARTER);
  // It is idle and not pinned, so that it is not started again by itself.
  await expect(tile).toContainText('Failed');
  await expect(tile).toContainText(/killed/i);
  await expect(tile.getByRole('link', { name: 'Log', exact: true })).toBeVisible();
  await expect(other).toContainText('Ready');
  // The same element: the list was not rendered again.
  expect(await element?.evaluate((tile) => tile.isConnected)).toBe(true);

  await tile.getByRole('button', { name: /^Start/ }).click();
  await expect(tile).toContainText('Ready');
});

test('a pinned worker that is killed comes back by itself, in the same list', async ({ page, gateway }) => {
  const killed = await gateway.load(STARTER);
  await gateway.request('POST', `/api/servers/${killed.id}/pin`, { pinned: true });
  await open(page, '/servers', 'Servers');
  gateway.killWorker(killed);
  await waitFor('another process', async () => {
    const server = await gateway.waitForState(STARTER, 'ready');
    return server.pid !== killed.pid || undefined;
  });
  await expect(tileOf(page, STARTER)).toContainText('Ready');
  await expect(tileOf(page, STARTER)).toHaveCount(1);
});

test('the log of a killed worker is one click away', async ({ page, gateway }) => {
  const server = await gateway.load(STARTER);
  await gateway.generate(STARTER);
  await open(page, '/servers', 'Servers');
  gateway.killWorker(server);
  await tileOf(page, STARTER).getByRole('link', { name: 'Log', exact: true }).click();
  await expect(page).toHaveURL(new RegExp(`/logs\\?source=${server.id}`));
  await expect(page.getByRole('heading', { level: 1, name: 'Logs' })).toBeVisible();
});

test('stopping a model that generates asks first', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/servers', 'Servers');
  const generation = gateway.generate(STARTER, 4000).catch(() => undefined);
  const tile = tileOf(page, STARTER);
  await expect(tile).toContainText('1 running');
  await tile.getByRole('button', { name: `Stop ${STARTER}` }).click();
  const dialog = page.getByRole('alertdialog').or(page.getByRole('dialog'));
  await expect(dialog).toContainText('1 response');
  await dialog.getByRole('button', { name: 'Stop', exact: true }).click();
  await expect(tile).toHaveCount(0);
  await generation;
});

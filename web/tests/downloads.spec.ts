/** Flow 2: downloads, and the start of a model that is downloaded. */

import type { Page } from '@playwright/test';
import { starterModel } from './support/environment';
import { open, tileOf } from './support/pages';
import { expect, test } from './support/test';

const REPOSITORY = 'org/Throttled-4bit';

test.beforeEach(async ({ hub, page }) => {
  await hub.add({ id: REPOSITORY, directory: starterModel(), downloads: 1000, weights: 150_000_000 });
  // Slow enough to do something meanwhile.
  await hub.throttle(2_000_000);
  await open(page, '/models?in=hub&q=Throttled', 'Models');
});

const tile = (page: Page) => page.getByRole('article', { name: `Download of ${REPOSITORY}` });

async function download(page: Page): Promise<void> {
  await page.getByRole('main').getByRole('button', { name: 'Download', exact: true }).click();
  await expect(tile(page)).toHaveCount(1);
}

test('a download is one tile with a progress bar, and nowhere else', async ({ page }) => {
  await download(page);
  await expect(tile(page)).toContainText('Downloading');
  await expect(page.getByRole('main').getByRole('progressbar')).toHaveCount(1);
  const before = await tile(page).getByRole('progressbar').getAttribute('aria-valuenow');
  await expect(tile(page).getByRole('progressbar')).not.toHaveAttribute('aria-valuenow', before ?? '');
});

test('a download is paused, resumed, and goes on where it was', async ({ page, hub, gateway }) => {
  await download(page);
  await expect(tile(page)).toContainText('Downloading');
  await tile(page)
    .getByRole('button', { name: `Pause the download of ${REPOSITORY}` })
    .click();
  await expect(tile(page)).toContainText('Paused');
  await hub.throttle(null);
  await tile(page)
    .getByRole('button', { name: `Resume the download of ${REPOSITORY}` })
    .click();
  await expect(tile(page)).toContainText('Downloaded');
  const { models } = await gateway.get<{ models: { name: string; complete: boolean }[] }>('/api/models/local');
  expect(models).toContainEqual(expect.objectContaining({ name: REPOSITORY, complete: true }));
});

test('cancelling says what is lost, and removes the download', async ({ page, gateway }) => {
  await download(page);
  await tile(page)
    .getByRole('button', { name: `Cancel the download of ${REPOSITORY}` })
    .click();
  const dialog = page.getByRole('alertdialog').or(page.getByRole('dialog'));
  await expect(dialog).toContainText(REPOSITORY);
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  await tile(page)
    .getByRole('button', { name: `Cancel the download of ${REPOSITORY}` })
    .click();
  await dialog.getByRole('button', { name: 'Cancel download' }).click();
  await expect(tile(page).getByText('Cancelled')).toBeVisible();
  const { downloads } = await gateway.get<{ downloads: { state: string }[] }>('/api/downloads');
  expect(downloads.map(({ state }) => state)).toEqual(['cancelled']);
});

test('with “Start when ready” the model starts by itself', async ({ page, hub, gateway }) => {
  await download(page);
  await tile(page).getByRole('switch', { name: 'Start when ready' }).click();
  await hub.throttle(null);
  await gateway.waitForState(REPOSITORY, 'ready');
  await open(page, '/servers', 'Servers');
  await expect(tileOf(page, 'Throttled-4bit')).toContainText('Ready');
});

test('the download is in every tab, and after a restart of the gateway', async ({ page, context, gateway, hub }) => {
  await download(page);
  const other = await context.newPage();
  await open(other, '/models', 'Models');
  await expect(tile(other)).toContainText('Downloading');
  await gateway.stop();
  await gateway.start();
  await expect(tile(page)).toContainText(/Queued|Downloading|Reading/);
  await hub.throttle(null);
  await expect(tile(page)).toContainText('Downloaded');
  await expect(tile(other)).toContainText('Downloaded');
});

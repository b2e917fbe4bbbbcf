/** Every dialog: its focus, its way out, and whether everyone can use it. */

import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { screenshots } from './support/environment';
import { STARTER } from './support/gateway';
import { expectAccessible, open, tileOf } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

const dialogOf = (page: Page) => page.getByRole('alertdialog').or(page.getByRole('dialog'));

/** The dialog is named, has the focus in it, is accessible in both themes, and Escape closes it. */
async function check(page: Page, name: string): Promise<void> {
  const dialog = dialogOf(page);
  await expect(dialog).toHaveCount(1);
  await expect(dialog).toHaveAccessibleName(/\S/);
  expect(await dialog.evaluate((element) => element.contains(document.activeElement))).toBe(true);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    await expect(page.locator('html')).toHaveAttribute('data-theme', colorScheme);
    await page.screenshot({ path: join(screenshots(), `dialog-${name}-${colorScheme}.png`), animations: 'disabled' });
    await expectAccessible(page);
  }
  await page.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
}

test('palette and shortcuts', async ({ page }) => {
  await open(page, '/servers', 'Servers');
  await page.keyboard.press('Control+k');
  await check(page, 'palette');
  await page.keyboard.press('?');
  await check(page, 'shortcuts');
});

test('questions before something is lost', async ({ page, gateway, hub }) => {
  await hub.add({ id: 'org/Slow-4bit', files: { 'config.json': '{}', 'model.safetensors': 'x'.repeat(200_000) } });
  await hub.throttle(1000);
  await gateway.request('POST', '/api/downloads', { repo_id: 'org/Slow-4bit' });
  await open(page, '/models', 'Models');
  await page.getByRole('button', { name: 'Cancel the download of org/Slow-4bit' }).click();
  await check(page, 'cancel-download');

  await gateway.request('POST', '/api/profiles', { name: 'Coder', model: STARTER });
  await open(page, '/profiles', 'Profiles');
  await page.getByRole('button', { name: 'More actions on Coder' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  await check(page, 'delete-profile');
  await page.getByRole('button', { name: 'More actions on Coder' }).click();
  await page.getByRole('menuitem', { name: 'Export' }).click();
  await check(page, 'export-profile');
  await page.getByRole('button', { name: 'Import' }).click();
  await check(page, 'import-profile');
});

test('stop of a model that generates', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/servers', 'Servers');
  // Its client leaves at the end of the test.
  const leave = new AbortController();
  const generation = fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({
      model: STARTER,
      messages: [{ role: 'user', content: 'Count.' }],
      max_tokens: 4000,
      stream: true,
    }),
    signal: leave.signal,
  });
  // The name is that of the profile, if there is one.
  const tile = tileOf(page, STARTER);
  await expect(tile).toContainText('1 running');
  await tile.getByRole('button', { name: /^Stop / }).click();
  await check(page, 'stop-server');
  leave.abort();
  await generation.catch(() => undefined);
});

test('the memory of narrow windows', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, '/servers', 'Servers');
  await page.getByRole('button', { name: /^Memory:/ }).click();
  await expect(dialogOf(page)).toContainText(STARTER);
  await check(page, 'memory');
});

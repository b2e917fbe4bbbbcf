/** Flow 1: from an empty machine to a running model. */

import { starterModel } from './support/environment';
import { STARTER } from './support/gateway';
import { open, tileOf } from './support/pages';
import { expect, test } from './support/test';

const REPOSITORY = 'mlx-community/Qwen3-0.6B-4bit';

test('an empty machine shows the first steps, and one click downloads and starts a model', async ({
  page,
  hub,
  gateway,
}) => {
  await hub.add({ id: REPOSITORY, directory: starterModel(), downloads: 1000, weights: 150_000_000 });
  await hub.throttle(60_000_000);
  await page.goto('/');
  await expect(page).toHaveURL(/\/welcome$/);
  await expect(page.getByRole('heading', { level: 1, name: 'Choose a first model' })).toBeVisible();
  await expect(page.getByText('Qwen3-0.6B-4bit').first()).toBeVisible();
  await page.getByRole('main').getByRole('button', { name: 'Start', exact: true }).first().click();
  await gateway.waitForState(REPOSITORY, 'ready');
  await open(page, '/servers', 'Servers');
  await expect(tileOf(page, 'Qwen3-0.6B-4bit')).toContainText('Ready');
});

test.describe('with a model on the machine', () => {
  test.use({ models: [STARTER] });

  test('the first page offers to start it', async ({ page, gateway }) => {
    await page.goto('/welcome');
    await expect(page.getByText(STARTER).first()).toBeVisible();
    await page.getByRole('main').getByRole('button', { name: 'Start', exact: true }).first().click();
    await gateway.waitForState(STARTER, 'ready');
  });

  test('a model starts from the picker with the keyboard alone, and its tile shows it', async ({ page }) => {
    await open(page, '/servers', 'Servers');
    const picker = page.getByRole('combobox', { name: 'Profile or model to start' });
    await picker.focus();
    await page.keyboard.type('SmolLM2');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Start', exact: true }).press('Enter');
    const tile = tileOf(page, STARTER);
    await expect(tile).toContainText('Ready');
    await expect(tile.getByText('Memory')).toBeVisible();
    await tile.getByRole('button', { name: `Stop ${STARTER}` }).click();
    await expect(tile).toHaveCount(0);
  });
});

test('a hub that cannot be reached leaves the local models', async ({ page, hub }) => {
  await hub.stop();
  await page.goto('/welcome');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.getByRole('button', { name: /again|retry/i }).first()).toBeVisible();
});

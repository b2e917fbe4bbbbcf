/** A walk through the page without a pointer. */

import type { Page } from '@playwright/test';
import { STARTER } from './support/gateway';
import { open, tileOf } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

const focused = (page: Page) => page.locator(':focus');

/** Presses Tab until something with this name has the focus. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const element = focused(page);
    if ((await element.count()) === 0) continue;
    const label = await element.evaluate(
      (target) => target.getAttribute('aria-label') ?? (target.textContent || target.getAttribute('placeholder') || ''),
    );
    if (name.test(label.trim())) return;
  }
  throw new Error(`Tab does not reach ${name}`);
}

test('start a model, make a profile of it, and stop it', async ({ page, gateway }) => {
  await open(page, '/servers', 'Servers');
  // The first stop skips the navigation.
  await page.keyboard.press('Tab');
  await expect(focused(page)).toHaveText(/skip/i);
  await page.keyboard.press('Enter');

  await tabTo(page, /Profile or model to start/);
  await page.keyboard.type('SmolLM2');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await tabTo(page, /^Start$/);
  await page.keyboard.press('Enter');
  await expect(tileOf(page, STARTER)).toContainText('Ready');

  await page.keyboard.press('g');
  await page.keyboard.press('p');
  await expect(page.getByRole('heading', { level: 1, name: 'Profiles' })).toBeVisible();
  // The focus is where the page begins, so that a screen reader reads it.
  await expect(page.getByRole('heading', { level: 1 })).toBeFocused();

  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await expect(page.getByRole('heading', { level: 1, name: 'Servers' })).toBeVisible();
  await tabTo(page, new RegExp(`^Stop ${STARTER}`));
  await page.keyboard.press('Enter');
  await expect(tileOf(page, STARTER)).toHaveCount(0);
  expect(await gateway.servers()).toEqual([]);
});

test('the palette opens pages and closes with Escape, and the focus returns', async ({ page }) => {
  await open(page, '/servers', 'Servers');
  await tabTo(page, /Profile or model to start/);
  await page.keyboard.press('Control+k');
  const palette = page.getByRole('dialog');
  await expect(palette).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(palette).toHaveCount(0);
  await expect(page.getByRole('combobox', { name: 'Profile or model to start' })).toBeFocused();
  await page.keyboard.press('Control+k');
  await expect(palette.getByRole('combobox')).toBeFocused();
  await page.keyboard.type('Settings');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/\/settings/);
});

test('? lists the shortcuts, which do nothing while a text is typed', async ({ page }) => {
  await open(page, '/models', 'Models');
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await page.keyboard.press('/');
  await expect(page.getByRole('textbox', { name: 'Search my models' })).toBeFocused();
  await page.keyboard.type('gs?');
  await expect(page).toHaveURL(/\/models/);
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

/** Settings: where a value comes from, what an invalid one says, and the appearance of this browser. */

import { open } from './support/pages';
import { expect, test } from './support/test';

test('a value of the environment is locked, and says which variable has it', async ({ page }) => {
  // The tests start the gateway with these two.
  await open(page, '/settings/network', 'Network');
  await expect(page.getByText(/MLXM_SERVER_PORT\. Unset it/)).toBeVisible();
  await expect(page.getByText(/MLXM_SERVER_HOST\. Unset it/)).toBeVisible();
});

test('a change is saved, shown with its source, live in another tab, and reset', async ({ page, context, gateway }) => {
  await open(page, '/settings/memory', 'Memory and pool');
  const other = await context.newPage();
  await open(other, '/settings/memory', 'Memory and pool');
  const key = 'pool.max_waiting_requests';
  const value = async () => {
    const { settings } = await gateway.get<{ settings: { key: string; value: unknown }[] }>('/api/settings');
    return settings.find((setting) => setting.key === key)?.value;
  };
  const before = await value();
  const field = page.getByRole('textbox', { name: 'Waiting requests' });
  await field.fill('12');
  await page.getByRole('button', { name: /^Save/ }).click();
  await expect(page.getByText('from these settings').first()).toBeVisible();
  await expect(other.getByText('from these settings').first()).toBeVisible();
  await page
    .getByRole('button', { name: /^Reset to/ })
    .first()
    .click();
  await expect(page.getByText('from these settings')).toHaveCount(0);
  await expect.poll(value).toEqual(before);
});

test('an invalid value is an error at its field, and nothing is saved', async ({ page }) => {
  await open(page, '/settings/memory', 'Memory and pool');
  const field = page.getByRole('textbox', { name: 'Waiting requests' });
  await field.fill('many');
  await page.getByRole('button', { name: /^Save/ }).click();
  await expect(page.getByRole('alert').first()).toBeVisible();
  await expect(page.getByText('from these settings')).toHaveCount(0);
});

test('a theme is kept, and is there before the first paint', async ({ page }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await open(page, '/settings/appearance', 'Appearance and keys');
  await page
    .getByRole('radio', { name: 'Dark' })
    .or(page.getByRole('button', { name: 'Dark' }))
    .first()
    .click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await page.addInitScript(() => {
    // What the document has when its body begins.
    new MutationObserver((_records, observer) => {
      if (!document.body) return;
      observer.disconnect();
      document.documentElement.setAttribute('data-first-theme', document.documentElement.dataset.theme ?? '');
    }).observe(document, { childList: true, subtree: true });
  });
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-first-theme', 'dark');
});

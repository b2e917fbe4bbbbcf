/** Profiles: made from a model, changed while they run, and in conflict about a port. */

import type { Page } from '@playwright/test';
import { STARTER } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

const side = (page: Page) => page.getByRole('complementary', { name: 'Memory and changes' });

test('a profile is made from a model with its name filled in, and the plan is live', async ({ page, gateway }) => {
  await open(page, `/profiles/new?model=${STARTER}`, 'New profile');
  await expect(page.getByRole('textbox', { name: 'Name', exact: true })).not.toHaveValue('');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Coder');
  const needed = side(page)
    .getByText(/tokens/)
    .first();
  await expect(needed).toBeVisible();
  const before = await needed.textContent();
  await page
    .getByRole('textbox', { name: /^Context/ })
    .first()
    .fill('1024');
  await expect(side(page)).toContainText('1,024 tokens');
  await expect(needed).not.toHaveText(before ?? '');
  await side(page).getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page).not.toHaveURL(/\/profiles\/new/);
  await open(page, '/profiles', 'Profiles');
  await expect(page.getByRole('link', { name: 'Coder' })).toBeVisible();
  const { profiles } = await gateway.get<{
    profiles: { config: { name: string; load: { context_length: number } } }[];
  }>('/api/profiles');
  expect(profiles[0]?.config).toMatchObject({ name: 'Coder', load: { context_length: 1024 } });
});

test('a port that another profile has is an error at the field, with a free one to choose', async ({
  page,
  gateway,
}) => {
  const { port } = await gateway.get<{ port: number }>('/api/profiles/next-port');
  await gateway.request('POST', '/api/profiles', { name: 'First', model: STARTER, port });
  await open(page, `/profiles/new?model=${STARTER}`, 'New profile');
  const field = page.getByRole('textbox', { name: 'Port of its own' });
  await field.fill(String(port));
  await side(page).getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page.getByRole('alert').filter({ hasText: 'First' })).toBeVisible();
  await expect(field).toBeFocused();
  await page.getByRole('button', { name: 'Next free port' }).click();
  await expect(field).not.toHaveValue(String(port));
  await side(page).getByRole('button', { name: 'Save', exact: true }).click();
  await expect(page).not.toHaveURL(/\/profiles\/new/);
});

test('a change of load settings of a running profile shows what it changes, and restarts only on request', async ({
  page,
  gateway,
}) => {
  const profile = await gateway.request<{ id: string }>('POST', '/api/profiles', {
    name: 'Coder',
    model: STARTER,
    load: { context_length: 2048 },
  });
  await gateway.request('POST', '/api/servers', { profile: 'Coder' });
  const { pid } = await gateway.waitForState(STARTER, 'ready');
  await open(page, `/profiles/${profile.id}`, 'Coder');
  await page
    .getByRole('textbox', { name: /^Context/ })
    .first()
    .fill('1024');
  await side(page).getByRole('button', { name: 'Review and save' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog).toContainText(/2,?048/);
  await expect(dialog).toContainText(/1,?024/);
  await dialog.getByRole('button', { name: 'Save only' }).click();
  await expect(dialog).toHaveCount(0);
  const [server] = await gateway.servers();
  expect(server?.pid).toBe(pid);
});

test('a profile that is deleted says what is lost, and disappears from other tabs', async ({
  page,
  context,
  gateway,
}) => {
  await gateway.request('POST', '/api/profiles', { name: 'Coder', model: STARTER });
  await open(page, '/profiles', 'Profiles');
  const other = await context.newPage();
  await open(other, '/profiles', 'Profiles');
  await expect(other.getByRole('link', { name: 'Coder' })).toBeVisible();
  await page.getByRole('button', { name: 'More actions on Coder' }).click();
  await page.getByRole('menuitem', { name: 'Delete' }).click();
  const dialog = page.getByRole('alertdialog');
  await expect(dialog).toContainText('Coder');
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('link', { name: 'Coder' })).toHaveCount(0);
  await expect(other.getByRole('link', { name: 'Coder' })).toHaveCount(0);
});

test('a draft survives a reload', async ({ page }) => {
  await open(page, '/profiles/new', 'New profile');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Half done');
  await page.reload();
  await expect(page.getByRole('textbox', { name: 'Name', exact: true })).toHaveValue('Half done');
});

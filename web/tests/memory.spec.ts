/** Flow 3: two models and nearly full memory. */

import { SECOND, STARTER, type Gateway } from './support/gateway';
import { open, tileOf } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER, SECOND] });

/** Leaves memory for one of the two models, which is in memory. */
async function limitToOne(gateway: Gateway): Promise<void> {
  const { size } = await gateway.load(STARTER);
  // A model takes less cache where there is less memory, so that the second one may fit at first.
  for (const share of [1.5, 1.2, 1.05]) {
    const budget = Math.round(size.plan_bytes * share);
    await gateway.request('PATCH', '/api/settings', { values: { 'pool.memory_budget_bytes': budget } });
    const plan = await gateway.request<{ outcome: string }>('POST', '/api/pool/plan', { model: SECOND });
    if (plan.outcome === 'evicts') return;
  }
  throw new Error('the second model fits in any case');
}

test('pointing at a model shows in the strip which one it would replace', async ({ page, gateway }) => {
  await limitToOne(gateway);
  await open(page, '/models', 'Models');
  const memory = page.getByRole('region', { name: 'Memory' });
  await expect(memory.getByRole('link', { name: STARTER })).toBeVisible();
  const row = page.getByRole('listitem').filter({ has: page.getByText(SECOND) });
  await row.getByRole('button', { name: 'Start' }).hover();
  await expect(memory.getByRole('status')).toContainText(STARTER);
  await page.mouse.move(0, 0);
  await expect(memory.getByRole('status')).toHaveText('');
});

test('a start replaces the idle model, and both tiles say so without a reload', async ({ page, gateway }) => {
  await limitToOne(gateway);
  await open(page, '/servers', 'Servers');
  await expect(tileOf(page, STARTER)).toContainText('Ready');
  const picker = page.getByRole('combobox', { name: 'Profile or model to start' });
  await picker.click();
  await page.getByRole('option', { name: new RegExp(SECOND) }).click();
  await expect(page.getByRole('main')).toContainText(STARTER);
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await expect(tileOf(page, SECOND)).toContainText('Ready');
  await expect(tileOf(page, STARTER)).toHaveCount(0);
});

test('a pinned model is not replaced, and the page says why', async ({ page, gateway }) => {
  await limitToOne(gateway);
  await open(page, '/servers', 'Servers');
  await tileOf(page, STARTER).getByRole('button', { name: /^Pin / }).click();
  await expect(tileOf(page, STARTER).getByRole('button', { name: `Unpin ${STARTER}` })).toBeVisible();
  const picker = page.getByRole('combobox', { name: 'Profile or model to start' });
  await picker.click();
  await page.getByRole('option', { name: new RegExp(SECOND) }).click();
  await expect(page.getByRole('main')).toContainText(/pinned/i);
  await expect(tileOf(page, STARTER)).toContainText('Ready');
});

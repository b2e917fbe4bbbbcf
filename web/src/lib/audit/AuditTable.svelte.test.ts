import { beforeEach, expect, test } from 'vitest';
import { page } from 'vitest/browser';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import AuditTable from './AuditTable.svelte';
import { auditRow } from './testing';

const rows = [
  auditRow({ id: '1' }),
  auditRow({ id: '2', status: 499, completion_tokens: 3 }),
  auditRow({ id: '3', status: 503, error_kind: 'queue_timeout', prompt_tokens: null, completion_tokens: null }),
];
const properties = { rows, label: 'Requests', empty: 'No requests.' };

beforeEach(async () => {
  await page.viewport(1_440, 800);
});

inBothThemes('requests', (theme) => {
  test('have their status in words', async () => {
    useTheme(theme);
    const { container, getByText } = await render(AuditTable, properties);
    await expect.element(getByText('499 cancelled')).toBeVisible();
    await expect.element(getByText('503 queue_timeout')).toBeVisible();
    await expectAccessible(container);
  });
});

test('a row opens all that is known about it', async () => {
  const { getByRole } = await render(AuditTable, properties);
  await getByRole('button', { name: /^Request at/ })
    .first()
    .click();
  const dialog = getByRole('dialog', { name: 'Request' });
  await expect.element(dialog).toHaveTextContent(/Cached tokens ?75/);
  await expect.element(dialog).toHaveTextContent('Prompts and responses are not recorded.');
});

test('names of models stay text', async () => {
  const model = '<img src=x onerror=alert(1)>';
  const { container } = await render(AuditTable, { ...properties, rows: [auditRow({ model })] });
  expect(container.querySelector('img')).toBeNull();
  expect(container.textContent).toContain(model);
});

test('without rows, it says so', async () => {
  const { getByText } = await render(AuditTable, { ...properties, rows: [] });
  await expect.element(getByText('No requests.')).toBeVisible();
});

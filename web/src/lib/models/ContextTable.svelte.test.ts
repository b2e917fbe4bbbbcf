import { expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, THEMES, useTheme } from '$lib/ui/testing';
import ContextTable from './ContextTable.svelte';
import type { ContextRow } from './contexts';

function row(contextLength: number, fits: ContextRow['fits']): ContextRow {
  const contextBytes = contextLength * 1e5;
  return { contextLength, fixedBytes: 4e9, contextBytes, secondBytes: 0, totalBytes: 4e9 + contextBytes, fits };
}

const rows = [row(8192, 'free'), row(32768, 'budget'), row(131072, 'no')];

test.each(THEMES)('each context has its memory and whether it fits, in words, in the %s theme', async (theme) => {
  useTheme(theme);
  const { container, getByText, getByRole } = await render(ContextTable, {
    name: 'a/b',
    rows,
    budgetBytes: 10e9,
    reason: null,
  });
  for (const text of ['8k', '32k', '128k', 'Fits', 'After others stop', 'Too large']) {
    await expect.element(getByText(text, { exact: true })).toBeVisible();
  }
  await expect.element(getByRole('table', { name: 'Memory by context length' })).toBeVisible();
  await expectAccessible(container);
});

test('a context that is larger than the budget cannot be started', async () => {
  const { getByRole } = await render(ContextTable, { name: 'a/b', rows, budgetBytes: 10e9, reason: null });
  await expect.element(getByRole('button', { name: /context of 128k/ })).toHaveAttribute('aria-disabled', 'true');
  await expect.element(getByRole('button', { name: /context of 8k/ })).not.toHaveAttribute('aria-disabled');
});

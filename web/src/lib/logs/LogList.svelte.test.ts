import { expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import type { LogLine } from './buffer';
import LogList from './LogList.svelte';

const HOSTILE = '<img src=x onerror=alert(1)>';
const LEVELS = ['error', 'warn', 'info', 'debug', null] as const;

function lines(count: number): LogLine[] {
  return Array.from({ length: count }, (_, index) => ({
    key: index,
    source: 'gateway',
    at_ms: 1_000 + index,
    level: LEVELS[index % LEVELS.length] ?? null,
    message: `line ${index}`,
    gap: false,
  }));
}

/** In a box of a fixed height, as on the page. */
async function shown(all: LogLine[], search = '') {
  document.body.style.height = '30rem';
  const screen = await render(LogList, { lines: all, label: 'Logs', search, follow: false });
  screen.container.style.height = '30rem';
  return screen;
}

inBothThemes('a log', (theme) => {
  test('of 12,000 lines has few rows in the page', async () => {
    useTheme(theme);
    const { container, getByText } = await shown(lines(12_000));
    await expect.element(getByText('line 0', { exact: true })).toBeVisible();
    expect(container.querySelectorAll('*').length).toBeLessThan(1_500);
    await expectAccessible(container);
  });
});

test('messages stay text, and matches are marked', async () => {
  const [line] = lines(1);
  if (line) line.message = HOSTILE;
  const { container } = await shown(line ? [line] : [], 'onerror');
  await expect.poll(() => container.querySelector('mark')?.textContent).toBe('onerror');
  expect(container.querySelector('img')).toBeNull();
  expect(container.textContent).toContain(HOSTILE);
});

test('a line that is opened is shown completely', async () => {
  const { getByText, getByRole } = await shown(lines(3));
  await getByText('line 1', { exact: true }).click();
  const detail = getByRole('region', { name: 'Line' });
  await expect.element(detail).toHaveTextContent('line 1');
  await detail.getByRole('button', { name: 'Close' }).click();
  await expect.element(detail).not.toBeInTheDocument();
});

test('missing lines are marked', async () => {
  const some = lines(2);
  if (some[1]) some[1].gap = true;
  const { getByText } = await shown(some);
  await expect.element(getByText(/lines are missing/)).toBeVisible();
});

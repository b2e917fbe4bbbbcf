import { beforeEach, expect, it, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, inBothThemes, useTheme } from './testing';
import Lists from './testing/Lists.svelte';
import Structure from './testing/Structure.svelte';

const EVIL = '<img src=x onerror="globalThis.attacked=true"><script>globalThis.attacked=true</script>';

inBothThemes('structure', (theme) => {
  beforeEach(() => useTheme(theme));

  it('is accessible', async () => {
    await render(Structure, { evil: 'mlx-community/Qwen3-30B-A3B-Instruct-2507-4bit', onevent: vi.fn() });
    await expectAccessible();
  });
});

it('names and errors with markup stay text', async () => {
  const screen = await render(Structure, { evil: EVIL, onevent: vi.fn() });
  await expect.element(screen.getByRole('heading', { level: 1 })).toHaveTextContent(EVIL);
  expect(screen.container.querySelector('img, script')).toBeNull();
  expect('attacked' in globalThis).toBe(false);
});

it('a table is sorted by its headings and opened by its rows', async () => {
  const onevent = vi.fn();
  const screen = await render(Structure, { evil: 'Coder', onevent });
  const heading = screen.getByRole('columnheader', { name: 'Size' }).first();
  await heading.getByRole('button').click();
  await expect.element(heading).toHaveAttribute('aria-sort', 'descending');
  await heading.getByRole('button').click();
  await expect.element(heading).toHaveAttribute('aria-sort', 'ascending');
  await screen.getByRole('row', { name: /Chat/ }).click();
  await screen.getByRole('button', { name: '3 new' }).click();
  expect(onevent.mock.calls).toEqual([['open Chat'], ['show']]);
});

it('problems offer a remedy, and offline data cannot be used', async () => {
  const onevent = vi.fn();
  const screen = await render(Structure, { evil: 'Coder', onevent });
  await screen.getByRole('button', { name: 'Retry' }).click();
  expect(onevent).toHaveBeenCalledExactlyOnceWith('retry');
  await expect.element(screen.getByRole('button', { name: 'Stop' })).toBeDisabled();
});

it('a chart has its numbers as a table', async () => {
  const screen = await render(Structure, { evil: 'Coder', onevent: vi.fn() });
  await screen.getByText('Numbers').click();
  expect(screen.container.querySelectorAll('figure tbody tr')).toHaveLength(20);
});

it('a long list has few elements, and stays at its end while it follows', async () => {
  const screen = await render(Lists, { count: 10_000, follow: true });
  await expect.element(screen.getByText('line 9999', { exact: true })).toBeInTheDocument();
  expect(screen.getByRole('list').element().querySelectorAll('[role="listitem"]').length).toBeLessThan(60);
  await screen.rerender({ count: 10_100 });
  await expect.element(screen.getByText('line 10099', { exact: true })).toBeInTheDocument();
});

it('a long list keeps its place while it does not follow', async () => {
  const screen = await render(Lists, { count: 10_000 });
  const list = screen.getByRole('list').element();
  list.scrollTop = 4000;
  await expect.element(screen.getByText('line 170', { exact: true })).toBeInTheDocument();
  await screen.rerender({ count: 10_100 });
  expect(list.scrollTop).toBe(4000);
  await expect.element(screen.getByText('line 170', { exact: true })).toBeInTheDocument();
});

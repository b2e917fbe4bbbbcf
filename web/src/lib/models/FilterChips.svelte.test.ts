import { expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { readBrowse } from './browse';
import FilterChips from './FilterChips.svelte';

const browse = (query: string) => readBrowse(new URLSearchParams(query));

test('a chip adds its filter', async () => {
  const onchange = vi.fn();
  const { getByRole } = await render(FilterChips, { browse: browse('fits=1'), families: ['Qwen'], onchange });
  await expect.element(getByRole('button', { name: 'Fits' })).toHaveAttribute('aria-pressed', 'true');
  await getByRole('button', { name: 'Tools' }).click();
  expect(onchange).toHaveBeenCalledWith({ ...browse('fits=1'), badges: ['tools'] });
});

test('what the hub does not tell is visible, with the reason', async () => {
  const onchange = vi.fn();
  const { getByRole } = await render(FilterChips, { browse: browse('in=hub'), families: [], onchange });
  const chip = getByRole('button', { name: 'Thinking' });
  await expect.element(chip).toHaveAttribute('aria-disabled', 'true');
  await expect.element(chip).toHaveAttribute('title', expect.stringContaining('once a model is downloaded'));
  await chip.click({ force: true });
  expect(onchange).not.toHaveBeenCalled();
});

test('filters are cleared together', async () => {
  const onchange = vi.fn();
  const { getByRole } = await render(FilterChips, { browse: browse('q=a&fits=1&bits=4'), families: [], onchange });
  await getByRole('button', { name: 'Clear filters' }).click();
  expect(onchange).toHaveBeenCalledWith(browse('q=a'));
});

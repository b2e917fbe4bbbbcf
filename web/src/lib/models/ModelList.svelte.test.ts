import { beforeEach, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { LocalModel } from '$lib/api';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import { ofLocal } from './entry';
import ModelList from './ModelList.svelte';
import { localModel } from './testing';

function entry(name: string, more: Partial<LocalModel> = {}) {
  return ofLocal(
    localModel(name, {
      path: `/models/${name}`,
      size_bytes: 4.6e9,
      characteristics: { kind: 'vision', badges: ['vision', 'tools'], family: 'Qwen', supported: true },
      ...more,
    }),
  );
}

const props = { place: 'mine' as const, listKey: 'by name', open: null, onopen: vi.fn() };

inBothThemes('a list of models', (theme) => {
  beforeEach(() => useTheme(theme));

  test('is accessible with complete, incomplete and unsupported models', async () => {
    const entries = [
      entry('a/Qwen2.5-VL-7B-4bit'),
      entry('a/incomplete', { complete: false, missing_files: ['model.safetensors'] }),
      entry('unsupported', { characteristics: { kind: 'text', badges: [], supported: false } }),
    ];
    const { container, getByRole } = await render(ModelList, { ...props, entries });
    await expect.element(getByRole('list', { name: 'Models on this machine' })).toBeVisible();
    await expectAccessible(container);
  });
});

test('a new model waits above the list until it is asked for', async () => {
  const names = (container: HTMLElement) =>
    [...container.querySelectorAll('[data-row] a')].map((link) => link.textContent.trim());
  const screen = await render(ModelList, { ...props, entries: [entry('a/b'), entry('a/d')] });
  await screen.rerender({ entries: [entry('a/a'), entry('a/b'), entry('a/d')] });
  expect(names(screen.container)).toEqual(['a/b', 'a/d']);
  await screen.getByRole('button', { name: '1 new model' }).click();
  expect(names(screen.container)).toEqual(['a/a', 'a/b', 'a/d']);
});

test('unfolding a model is told', async () => {
  const onopen = vi.fn();
  const { getByRole } = await render(ModelList, { ...props, onopen, entries: [entry('a/b')] });
  await getByRole('button', { name: 'Details of a/b' }).click();
  expect(onopen).toHaveBeenCalledWith('a/b');
});

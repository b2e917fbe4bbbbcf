import { expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { RemoteModel } from '$lib/api';
import { THEMES, useTheme } from '$lib/ui/testing';
import { ofLocal, ofRemote } from './entry';
import ModelRow from './ModelRow.svelte';
import { localModel } from './testing';

const local = localModel('mlx-community/Qwen3-8B-4bit', {
  path: '/models/qwen',
  size_bytes: 4.6e9,
  characteristics: { kind: 'text', badges: ['tools', 'thinking'], family: 'Qwen', parameters: 8e9, supported: true },
});
const remote: RemoteModel = {
  repo_id: 'a/b',
  tags: [],
  gated: true,
  downloaded: false,
  size_bytes: 1e9,
  downloads: 1200,
  likes: 3,
  characteristics: { kind: 'vision', badges: ['vision'] },
};
const closed = { isOpen: false, ontoggle: () => undefined };

test.each(THEMES)('a row has name, badges and facts in the %s theme', async (theme) => {
  useTheme(theme);
  const { getByRole, getByText } = await render(ModelRow, { entry: ofLocal(local), place: 'mine', ...closed });
  const link = getByRole('link', { name: local.name });
  await expect.element(link).toHaveAttribute('href', '/models/mlx-community/Qwen3-8B-4bit');
  for (const badge of ['Tools', 'Thinking']) await expect.element(getByText(badge)).toBeVisible();
  await expect.element(getByText(/Qwen · 8B · 4\.6\sGB/)).toBeVisible();
});

test('a result of the hub can be downloaded, and says that access must be granted', async () => {
  const { getByRole, getByText } = await render(ModelRow, { entry: ofRemote(remote, null), place: 'hub', ...closed });
  await expect.element(getByRole('button', { name: 'Download' })).toBeVisible();
  await expect.element(getByText('Gated')).toBeVisible();
});

test('a model that cannot be loaded says why', async () => {
  const found = { kind: 'text' as const, badges: [], supported: false, unsupported_reason: 'no such layer' };
  const entry = ofLocal({ ...local, characteristics: found });
  const { getByText, getByTitle } = await render(ModelRow, { entry, place: 'mine', ...closed });
  await expect.element(getByText('Not supported')).toBeVisible();
  await expect.element(getByTitle('no such layer')).toBeVisible();
});

test('names stay text', async () => {
  const entry = ofLocal({ ...local, name: 'a/<img src=x onerror=alert(1)>' });
  const { container } = await render(ModelRow, { entry, place: 'mine', ...closed });
  expect(container.querySelector('img')).toBeNull();
  expect(container.textContent).toContain('<img src=x onerror=alert(1)>');
});

test('it unfolds by its button, and by Enter on the row', async () => {
  const ontoggle = vi.fn();
  const { container, getByRole } = await render(ModelRow, {
    entry: ofLocal(local),
    place: 'mine',
    isOpen: false,
    ontoggle,
  });
  const toggle = getByRole('button', { name: `Details of ${local.name}` });
  await expect.element(toggle).toHaveAttribute('aria-expanded', 'false');
  await toggle.click();
  const row = container.querySelector<HTMLElement>('[data-row]');
  row?.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
  expect(ontoggle).toHaveBeenCalledTimes(2);
});

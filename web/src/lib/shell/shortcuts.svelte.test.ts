import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { userEvent } from 'vitest/browser';
import { shortcuts } from './shortcuts.svelte';
import { theme } from './theme.svelte';

const run = vi.fn();
let stops: (() => void)[] = [];

beforeEach(() => {
  localStorage.clear();
  run.mockClear();
  const shortcut = (id: string, keys: string) =>
    ({ id, keys, label: id, group: 'Everywhere', run: () => run(id) }) as const;
  stops = [
    shortcuts.start(),
    shortcuts.register([shortcut('palette', 'mod+k'), shortcut('servers', 'g s'), shortcut('help', '?')]),
  ];
});
afterEach(() => {
  for (const stop of stops) stop();
  for (const id of ['palette', 'servers', 'help']) shortcuts.rebind(id, null);
  shortcuts.singleKeys = true;
  document.body.replaceChildren();
});

function focusNewField(): void {
  const field = document.createElement('input');
  field.setAttribute('aria-label', 'Field');
  document.body.append(field);
  field.focus();
}

it('runs single keys, sequences and keys with Ctrl', async () => {
  await userEvent.keyboard('?');
  await userEvent.keyboard('gs');
  await userEvent.keyboard('{Control>}k{/Control}');
  expect(run.mock.calls.flat()).toEqual(['help', 'servers', 'palette']);
});

it('runs only keys with Ctrl while a field has the focus', async () => {
  focusNewField();
  await userEvent.keyboard('gs?{Control>}k{/Control}');
  expect(run.mock.calls.flat()).toEqual(['palette']);
});

it('leaves single keys to an open dialog', async () => {
  const dialog = document.createElement('dialog');
  document.body.append(dialog);
  dialog.showModal();
  await userEvent.keyboard('?');
  expect(run).not.toHaveBeenCalled();
});

it('keeps the keys that the user has chosen, and knows conflicts', async () => {
  expect(shortcuts.conflict('help', 'mod+k')?.id).toBe('palette');
  shortcuts.rebind('help', 'h');
  await userEvent.keyboard('?');
  await userEvent.keyboard('h');
  expect(run.mock.calls.flat()).toEqual(['help']);
  expect(JSON.parse(localStorage.getItem('mlxm.shortcuts') ?? '')).toEqual({ help: 'h' });
  expect(shortcuts.keysOf('help')).toBe('h');
});

it('turns single keys off', async () => {
  shortcuts.singleKeys = false;
  await userEvent.keyboard('?gs{Control>}k{/Control}');
  expect(run.mock.calls.flat()).toEqual(['palette']);
});

it('a chosen theme is applied and kept; the system is the default', () => {
  const stop = theme.start();
  theme.choice = 'dark';
  expect(document.documentElement.dataset.theme).toBe('dark');
  expect(localStorage.getItem('mlxm.theme')).toBe('dark');
  theme.choice = 'system';
  expect(localStorage.getItem('mlxm.theme')).toBeNull();
  expect(document.documentElement.dataset.theme).toBe(
    matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light',
  );
  stop();
});

import { beforeEach, expect, it, vi } from 'vitest';
import { userEvent } from 'vitest/browser';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, inBothThemes, useTheme } from './testing';
import Layers from './testing/Layers.svelte';

inBothThemes('layers', (theme) => {
  beforeEach(() => useTheme(theme));

  it.each([
    ['dialog', 'dialog'],
    ['confirmation', 'alertdialog'],
    ['sheet', 'dialog'],
  ] as const)('a %s is accessible, closes with Escape and returns the focus', async (name, role) => {
    const screen = await render(Layers, { onconfirm: vi.fn() });
    const opener = screen.getByRole('button', { name: `Open ${name}` });
    await opener.click();
    await expect.element(screen.getByRole(role)).toBeVisible();
    expect(screen.getByRole(role).element().contains(document.activeElement)).toBe(true);
    await expectAccessible(screen.getByRole(role).element());
    await userEvent.keyboard('{Escape}');
    await expect.element(screen.getByRole(role)).not.toBeInTheDocument();
    await expect.element(opener).toHaveFocus();
  });
});

it('a confirmation names the loss, and the caller decides when it closes', async () => {
  const onconfirm = vi.fn();
  const screen = await render(Layers, { onconfirm });
  await screen.getByRole('button', { name: 'Open confirmation' }).click();
  const dialog = screen.getByRole('alertdialog', { name: 'Delete Qwen3-8B-4bit?' });
  await expect.element(dialog).toHaveAccessibleDescription('4.6 GB are removed from this machine.');
  await dialog.getByRole('button', { name: 'Delete' }).click();
  expect(onconfirm).toHaveBeenCalledOnce();
  await expect.element(dialog).toBeVisible();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect.element(dialog).not.toBeInTheDocument();
});

it('a popover opens and closes with its button', async () => {
  const screen = await render(Layers, { onconfirm: vi.fn() });
  await screen.getByRole('button', { name: 'Open popover' }).click();
  await expect.element(screen.getByText('Live')).toBeVisible();
  await userEvent.keyboard('{Escape}');
  await expect.element(screen.getByText('Live')).not.toBeInTheDocument();
});

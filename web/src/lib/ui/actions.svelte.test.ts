import { beforeEach, expect, it, vi } from 'vitest';
import { userEvent } from 'vitest/browser';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, inBothThemes, useTheme } from './testing';
import Actions from './testing/Actions.svelte';

inBothThemes('buttons', (theme) => {
  beforeEach(() => useTheme(theme));

  it('are accessible', async () => {
    await render(Actions, { onaction: vi.fn() });
    await expectAccessible();
  });
});

it('a button with a reason stays in the tab order, says the reason and does nothing', async () => {
  const onaction = vi.fn();
  const screen = await render(Actions, { onaction });
  const button = screen.getByRole('button', { name: 'Load' });
  await expect.element(button).toHaveAttribute('aria-disabled', 'true');
  await button.click({ force: true });
  (button.element() as HTMLElement).blur();
  await userEvent.keyboard('{Shift}');
  (button.element() as HTMLElement).focus();
  await userEvent.keyboard('{Enter}');
  expect(onaction).not.toHaveBeenCalled();
  await expect.element(screen.getByRole('tooltip')).toHaveTextContent('No model is chosen.');
});

it('a busy button says what it waits for and does nothing', async () => {
  const onaction = vi.fn();
  const screen = await render(Actions, { onaction });
  const button = screen.getByRole('button', { name: 'Starting' });
  await button.click({ force: true });
  expect(onaction).not.toHaveBeenCalled();
});

it('buttons, links and icon buttons work with the pointer and the keyboard', async () => {
  const onaction = vi.fn();
  const screen = await render(Actions, { onaction });
  await screen.getByRole('button', { name: 'Start', exact: true }).click();
  (screen.getByRole('button', { name: 'Remove' }).element() as HTMLElement).focus();
  await userEvent.keyboard('{Enter}');
  expect(onaction.mock.calls).toEqual([['start'], ['remove']]);
  await expect.element(screen.getByRole('link', { name: 'Open' })).toHaveAttribute('href', '#there');
});

it('a menu opens and closes with keys; entries with a reason do nothing', async () => {
  const onaction = vi.fn();
  const screen = await render(Actions, { onaction });
  const trigger = screen.getByRole('button', { name: 'More' });
  (trigger.element() as HTMLElement).focus();
  await userEvent.keyboard('{Enter}');
  await expect.element(screen.getByRole('menuitem', { name: 'Export' })).toHaveAttribute('aria-disabled', 'true');
  await expectAccessible();
  await userEvent.keyboard('{ArrowDown}{Enter}');
  expect(onaction).toHaveBeenCalledExactlyOnceWith('delete');
  await expect.element(trigger).toHaveFocus();
});

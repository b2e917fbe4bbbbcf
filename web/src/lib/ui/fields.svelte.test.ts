import { beforeEach, expect, it, vi } from 'vitest';
import { userEvent } from 'vitest/browser';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, inBothThemes, useTheme } from './testing';
import Fields from './testing/Fields.svelte';

inBothThemes('fields', (theme) => {
  beforeEach(() => useTheme(theme));

  it('are accessible', async () => {
    await render(Fields, { onchange: vi.fn() });
    await expectAccessible();
  });
});

it('a field is described by its help and its error', async () => {
  const screen = await render(Fields, { onchange: vi.fn() });
  const field = screen.getByRole('textbox', { name: 'Name' });
  await expect.element(field).toHaveAttribute('aria-invalid', 'true');
  await expect.element(field).toHaveAccessibleDescription(/Clients use it.*A profile with this name exists/);
  await expect.element(screen.getByRole('spinbutton', { name: 'Port' })).toBeDisabled();
});

it('a number is null while it is empty', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  const field = screen.getByRole('spinbutton', { name: 'Context' });
  await field.fill('4096');
  await field.fill('');
  expect(onchange.mock.calls).toEqual([
    ['context', 4096],
    ['context', null],
  ]);
});

it('a search waits for a pause, Enter does not, and Escape clears it', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  await screen.getByRole('textbox', { name: 'Search models' }).click();
  await userEvent.keyboard('qwen');
  await expect.poll(() => onchange.mock.calls).toEqual([['search', 'qwen']]);
  await userEvent.keyboard('3{Enter}');
  expect(onchange).toHaveBeenLastCalledWith('search', 'qwen3');
  await userEvent.keyboard('{Escape}');
  expect(onchange).toHaveBeenLastCalledWith('search', '');
});

it('a select shows what cannot be chosen, with the reason', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  const select = screen.getByRole('combobox', { name: 'Sort' });
  const impossible = screen.container.querySelector<HTMLOptionElement>('option[value="big"]');
  expect(impossible?.disabled).toBe(true);
  expect(impossible?.textContent).toContain('Needs 60.1 GB of 38.4 GB');
  await select.selectOptions('chat');
  expect(onchange).toHaveBeenCalledExactlyOnceWith('select', 'chat');
});

it('a combobox finds by typing and tells what is highlighted', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  const input = screen.getByRole('combobox', { name: 'Profile or model' });
  await input.click();
  await userEvent.keyboard('cha');
  const list = screen.getByRole('listbox', { name: 'Profile or model' });
  await expect.element(list.getByRole('option', { name: 'Coder' })).not.toBeInTheDocument();
  await userEvent.keyboard('{ArrowDown}');
  await expect.poll(() => onchange.mock.calls).toContainEqual(['highlight', 'chat']);
  await userEvent.keyboard('{Enter}');
  expect(onchange.mock.calls).toContainEqual(['combobox', 'chat']);
  await expect.element(input).toHaveValue('Chat');
  expect(onchange.mock.calls).toContainEqual(['highlight', null]);
});

it('switches, checkboxes, radio buttons and segments are chosen with keys', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  (screen.getByRole('switch', { name: 'Start automatically' }).element() as HTMLElement).focus();
  await userEvent.keyboard(' ');
  await screen.getByRole('checkbox', { name: 'Info' }).click();
  await screen.getByRole('radio', { name: /8-bit/ }).click();
  await screen.getByRole('radio', { name: 'Hugging Face' }).click();
  await screen.getByRole('radio', { name: 'Hugging Face' }).click();
  expect(onchange.mock.calls).toEqual([
    ['switch', true],
    ['checkbox', false],
    ['radio', 'q8'],
    ['segmented', 'hub'],
  ]);
});

it('colors have names, and are chosen with keys', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  const group = screen.getByRole('radiogroup', { name: 'Color' });
  await expect.element(group).toHaveAccessibleDescription('Of the model.');
  const chosen = group.getByRole('radio', { name: 'Green' });
  await expect.element(chosen).toBeChecked();
  (chosen.element() as HTMLElement).focus();
  await userEvent.keyboard('{ArrowRight}');
  await expect.element(group.getByRole('radio', { name: 'Pink' })).toBeChecked();
  expect(onchange.mock.calls).toEqual([['color', '4']]);
});

it('a slider moves with keys and says its value', async () => {
  const onchange = vi.fn();
  const screen = await render(Fields, { onchange });
  const slider = screen.getByRole('slider', { name: 'Temperature' });
  (slider.element() as HTMLElement).focus();
  await userEvent.keyboard('{ArrowRight}');
  await expect.element(slider).toHaveAttribute('aria-valuetext', '0.8');
  expect(onchange).toHaveBeenCalledOnce();
});

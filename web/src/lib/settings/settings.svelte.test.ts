import { describe, expect, it } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { page } from 'vitest/browser';
import type { Setting } from '$lib/api';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import { SectionDraft } from './draft.svelte';
import NamedValue from './NamedValue.svelte';
import SettingField from './SettingField.svelte';

function setting(changes: Partial<Setting> = {}): Setting {
  return {
    key: 'pool.queue_timeout_seconds',
    description: 'Seconds that a request waits for memory or for a busy model',
    value: 300,
    source: 'default',
    locked: false,
    default: 300,
    expects: 'a number of seconds from 1 to 86400',
    environment: 'MLXM_QUEUE_TIMEOUT_SECONDS',
    needs_restart: false,
    restart_pending: false,
    ...changes,
  };
}

describe('SectionDraft', () => {
  it('is changed by another value, not by another way to write it', () => {
    const draft = new SectionDraft();
    const one = setting();
    expect(draft.text(one)).toBe('5 min');
    draft.edit(one, '300 s');
    expect(draft.isChanged(one)).toBe(false);
    draft.edit(one, '10 min');
    expect(draft.isChanged(one)).toBe(true);
    draft.edit(one, 'later');
    expect(draft.error(one)).toBe('Enter a number of seconds from 1 to 86400.');
    draft.discard();
    expect(draft.text(one)).toBe('5 min');
  });

  it('never changes a locked setting', () => {
    const draft = new SectionDraft();
    const locked = setting({ locked: true, source: 'flag' });
    draft.edit(locked, '10 min');
    expect(draft.isChanged(locked)).toBe(false);
  });
});

inBothThemes('SettingField', (theme) => {
  it('shows the default and the value', async () => {
    useTheme(theme);
    render(SettingField, { setting: setting(), draft: new SectionDraft() });
    await expect.element(page.getByLabelText('Wait for memory')).toHaveValue('5 min');
    await expect.element(page.getByText('default')).toBeVisible();
  });

  it('says who sets a locked value, and cannot be edited', async () => {
    useTheme(theme);
    const locked = setting({ locked: true, source: 'environment', value: 60 });
    render(SettingField, { setting: locked, draft: new SectionDraft() });
    await expect.element(page.getByLabelText('Wait for memory')).toBeDisabled();
    await expect.element(page.getByText('Set by the environment variable', { exact: false })).toBeVisible();
  });

  it('says that a saved value waits for a restart', async () => {
    useTheme(theme);
    const pending = setting({ source: 'database', value: 60, needs_restart: true, restart_pending: true });
    render(SettingField, { setting: pending, draft: new SectionDraft() });
    await expect.element(page.getByText('until it is restarted', { exact: false })).toBeVisible();
    await expect.element(page.getByRole('button', { name: 'Reset to 5 min' })).toBeVisible();
    await expectAccessible();
  });
});

inBothThemes('NamedValue', (theme) => {
  it('has a text field for values without a name', async () => {
    useTheme(theme);
    const named = [{ text: '-1 s', label: 'Never' }];
    render(NamedValue, { value: '30 min', label: 'Stop', named, other: 'After a time' });
    await expect.element(page.getByRole('textbox', { name: 'After a time' })).toHaveValue('30 min');
    await expectAccessible();
  });

  it('shows the name of a value that has one', async () => {
    useTheme(theme);
    const named = [{ text: '-1 s', label: 'Never' }];
    render(NamedValue, { value: '-1 s', label: 'Stop', named, other: 'After a time' });
    await expect.element(page.getByRole('combobox')).toHaveDisplayValue('Never');
    await expect.element(page.getByRole('textbox')).not.toBeInTheDocument();
  });
});

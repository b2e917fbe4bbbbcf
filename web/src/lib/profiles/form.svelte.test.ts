import { describe, expect, it } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { page } from 'vitest/browser';
import type { Profile, ProfileConfig, Server } from '$lib/api';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import Changes from './Changes.svelte';
import { changesOf } from './changes';
import FieldInput from './FieldInput.svelte';
import { fieldAt, type FieldSpec } from './fields';
import { ProfileForm } from './form.svelte';
import SaveDialog from './SaveDialog.svelte';
import { profiles } from './store.svelte';

const config: ProfileConfig = {
  name: 'coder',
  model: 'org/model',
  is_pinned: false,
  auto_start: false,
  load: { context_length: 8192 },
  request: { temperature: 0 },
};
const profile: Profile = { id: 'a', config, created_at_ms: 1, updated_at_ms: 1 };

function field(path: string): FieldSpec {
  const found = fieldAt(path);
  if (!found) throw new Error(`no field ${path}`);
  return found;
}

function server(changes: Partial<Server> = {}): Server {
  return {
    id: 's',
    name: 'org/model',
    path: '/models/model',
    profiles: ['coder'],
    state: 'ready',
    capabilities: {},
    size: { context_length: 8192, kv_pool_tokens: 8192, plan_bytes: 1 },
    settings: {},
    ttl_seconds: 1800,
    pinned: false,
    running: 0,
    started_at_ms: 0,
    restarts: 0,
    ...changes,
  };
}

describe('ProfileForm', () => {
  it('has nothing to save before an edit, and after it was undone', () => {
    const form = new ProfileForm(profile);
    expect(form.isChanged).toBe(false);
    form.edit('load.context_length', '16k');
    expect(form.changes.map((change) => change.effect)).toEqual(['restart']);
    form.edit('load.context_length', '8k');
    expect(form.isChanged).toBe(false);
  });

  it('asks for a plan unless a load setting is not valid', () => {
    const form = new ProfileForm(profile);
    expect(form.planRequest).toEqual({ model: 'org/model', settings: { context_length: 8192 } });
    form.edit('load.context_length', 'long');
    expect(form.planRequest).toBeNull();
    form.edit('load.context_length', '');
    form.edit('request.temperature', 'hot');
    expect(form.planRequest).toEqual({ model: 'org/model', settings: {} });
  });

  it('shows errors of fields that were edited, and of all when saving is tried', async () => {
    const form = new ProfileForm(null);
    expect(form.error('name')).toBeUndefined();
    expect(await form.save()).toBeNull();
    expect(form.error('name')).toBe('Enter a name.');
    expect(form.error('model')).toBe('Choose a model.');
  });

  it('names the profile that has a port', () => {
    profiles.items.set('b', { ...profile, id: 'b', config: { ...config, name: 'writer', port: 10240 } });
    const form = new ProfileForm(profile);
    form.edit('port', '10240');
    expect(form.error('port')).toBe('Port 10240 is that of the profile writer.');
    expect(form.errorCount).toBe(1);
    profiles.items.delete('b');
  });

  it('continues with a stored draft', () => {
    const first = new ProfileForm(profile);
    first.edit('name', 'other');
    first.setFlag('auto_start', true);
    const second = new ProfileForm(profile);
    second.restore(first.stored);
    expect(second.config).toEqual({ ...config, name: 'other', auto_start: true });
    second.discard();
    expect(second.isChanged).toBe(false);
  });

  it('notices that the profile was changed elsewhere', () => {
    const form = new ProfileForm(profile);
    expect(form.isOutdated(profile)).toBe(false);
    expect(form.isOutdated({ ...profile, updated_at_ms: 2 })).toBe(true);
  });
});

inBothThemes('components', (theme) => {
  it('name a field, its default and its error', async () => {
    useTheme(theme);
    const form = new ProfileForm(profile);
    render(FieldInput, { field: field('request.temperature'), form });
    const input = page.getByLabelText('Temperature');
    await expect.element(input).toHaveValue('0');
    await expect.element(page.getByText('that of the model')).toBeVisible();
    await input.fill('-1');
    await expect.element(page.getByRole('alert')).toHaveTextContent('Enter a number of at least 0.');
    await expect.element(input).toHaveAttribute('aria-invalid', 'true');
    await expectAccessible();
  });

  it('show both values of a change as text', async () => {
    useTheme(theme);
    const after: ProfileConfig = {
      ...config,
      request: { temperature: 0, system_prompt: '<img src=x onerror=alert(1)>' },
    };
    const { container } = render(Changes, { changes: changesOf(config, after) });
    await expect.element(page.getByText('Applies immediately')).toBeVisible();
    await expect.element(page.getByText('<img src=x onerror=alert(1)>')).toBeVisible();
    expect(container.querySelector('img')).toBeNull();
  });

  it('say what a restart interrupts before saving', async () => {
    useTheme(theme);
    const form = new ProfileForm(profile);
    form.edit('load.context_length', '16k');
    const answers: boolean[] = [];
    render(SaveDialog, {
      open: true,
      form,
      server: server({ running: 2 }),
      onsave: (restart: boolean) => answers.push(restart),
    });
    await expect.element(page.getByText('2 responses are running.', { exact: false })).toBeVisible();
    await expectAccessible();
    await page.getByRole('button', { name: 'Save only' }).click();
    await page.getByRole('button', { name: 'Save and restart (interrupts 2 responses)' }).click();
    expect(answers).toEqual([false, true]);
  });

  it('say that a shared server keeps running', async () => {
    useTheme(theme);
    const form = new ProfileForm(profile);
    form.edit('load.context_length', '16k');
    render(SaveDialog, {
      open: true,
      form,
      server: server({ profiles: ['coder', 'writer'] }),
      onsave: () => undefined,
    });
    await expect.element(page.getByText('writer also uses this server', { exact: false })).toBeVisible();
    await expect.element(page.getByRole('button', { name: 'Save and start' })).toBeVisible();
  });
});

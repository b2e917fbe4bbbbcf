import { beforeEach, describe, expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { Server } from '$lib/api';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import ServerTile from './ServerTile.svelte';
import { servers } from './store.svelte';
import { failed, server } from './testing';

const METRICS = {
  at_ms: Date.now(),
  resident_bytes: 800_000_000,
  cpu_percent: 150,
  tokens_per_second: 41.2,
  requests_total: 12,
  prompt_tokens_total: 1_000,
  cached_tokens_total: 940,
  completion_tokens_total: 200,
  waiting: 1,
  kv_cache_usage: 0.25,
};

const HOSTILE = '<img src=x onerror=alert(1)>';

beforeEach(() => {
  servers.items.clear();
  servers.progress.clear();
});

inBothThemes('a server', (theme) => {
  beforeEach(() => useTheme(theme));

  test('that is ready shows what it does and uses', async () => {
    const ready = server({ running: 2, metrics: METRICS, profiles: ['coder'], started_at_ms: Date.now() - 65_000 });
    const { container, getByText, getByRole } = await render(ServerTile, { server: ready });
    await expect.element(getByText('2 running, 1 waiting')).toBeVisible();
    await expect.element(getByText('94%')).toBeVisible();
    await expect.element(getByRole('meter', { name: 'Memory' })).toBeInTheDocument();
    await expect.element(getByText(/stops 30.min after the last request/)).toBeVisible();
    await expectAccessible(container);
  });

  test('that starts shows its bytes', async () => {
    const starting = server({ state: 'starting', pid: 5 });
    servers.progress.set(starting.id, { loaded_bytes: 3.1e9, total_bytes: 4.6e9 });
    const { container, getByText, getByRole } = await render(ServerTile, { server: starting });
    await expect.element(getByText(/3\.1.GB of 4\.6.GB/)).toBeVisible();
    await expect.element(getByRole('progressbar')).toHaveAttribute('aria-valuenow', '67');
    await expectAccessible(container);
  });

  test('that failed shows the cause, the last lines and one remedy', async () => {
    const killed = failed('killed_externally', { context_length: 32_768 }, 'killed by another process');
    const { container, getByText, getByRole } = await render(ServerTile, { server: killed });
    await expect.element(getByText('killed by another process.')).toBeVisible();
    await expect.element(getByText('one two')).toBeVisible();
    await expect.element(getByRole('button', { name: 'Start with 16k context' })).toBeVisible();
    expect(getByRole('button', { name: /^Start/ }).elements()).toHaveLength(1);
    await expectAccessible(container);
  });
});

describe('names and messages', () => {
  test('stay text', async () => {
    const one: Server = { ...failed('crashed', {}, HOSTILE), name: HOSTILE, profiles: [HOSTILE] };
    if (one.failure) one.failure = { ...one.failure, log_tail: [HOSTILE] };
    const { container } = await render(ServerTile, { server: one });
    expect(container.querySelector('img')).toBeNull();
    expect(container.textContent).toContain(HOSTILE);
  });

  test('of any length do not widen the page', async () => {
    const long = server({ name: `owner/${'long-name-'.repeat(30)}4bit`, metrics: METRICS });
    const { container } = await render(ServerTile, { server: long });
    container.style.width = '20rem';
    expect(container.scrollWidth).toBeLessThanOrEqual(container.clientWidth + 1);
  });
});

test('a busy server is stopped only after a question', async () => {
  const busy = server({ running: 2, metrics: METRICS });
  servers.items.set(busy.id, busy);
  const { getByRole } = await render(ServerTile, { server: busy });
  await getByRole('button', { name: /^Stop/ }).click();
  const dialog = getByRole('alertdialog');
  await expect.element(dialog).toBeVisible();
  await expect.element(dialog).toHaveTextContent(/2 responses running/);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect.element(dialog).not.toBeInTheDocument();
});

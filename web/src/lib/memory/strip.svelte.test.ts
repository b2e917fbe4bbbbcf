import { beforeEach, expect, test, vi } from 'vitest';
import { page } from 'vitest/browser';
import { render } from 'vitest-browser-svelte';
import type { PoolPlan } from '$lib/api';
import { pool } from '$lib/pool/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { server } from '$lib/servers/testing';
import { expectAccessible, inBothThemes, useTheme } from '$lib/ui/testing';
import MemoryStrip from './MemoryStrip.svelte';

const GB = 1_000_000_000;
const size = (plan_bytes: number) => ({ context_length: 8_192, kv_pool_tokens: 8_192, plan_bytes });

const chat = server({ id: 'chat', name: 'a/chat', size: size(6 * GB), last_used_at_ms: Date.now() - 720_000 });
const coder = server({ id: 'coder', name: 'a/coder', size: size(21 * GB), running: 1 });

const EVICTS: PoolPlan = {
  model: 'a/new',
  outcome: 'evicts',
  size: size(15 * GB),
  memory: null,
  holders: [{ id: 'chat', name: 'a/chat', plan_bytes: 6 * GB, running: 0 }],
  budget_bytes: 38 * GB,
  used_bytes: 27 * GB,
  code: null,
  message: 'Needs 15.0 GB. Stops a/chat.',
  largest_context: null,
};

beforeEach(async () => {
  await page.viewport(1_440, 400);
  vi.restoreAllMocks();
  const plan: PoolPlan = { ...EVICTS, outcome: 'ready', size: null };
  vi.spyOn(pool, 'plan').mockImplementation((request) =>
    Promise.resolve({ ok: true, value: request.model === 'a/new' ? EVICTS : plan }),
  );
  servers.items.clear();
  for (const one of [chat, coder]) servers.items.set(one.id, one);
  pool.loadedAtMs = 1;
  pool.status = 'ready';
  pool.preview(null);
  pool.apply({
    topic: 'pool',
    event: { budget_bytes: 38 * GB, used_bytes: 27 * GB, waiting: 0, servers: [chat, coder] },
  });
});

inBothThemes('the memory strip', (theme) => {
  beforeEach(() => useTheme(theme));

  test('has a segment for each server, and the sum', async () => {
    const { container, getByRole, getByText } = await render(MemoryStrip);
    await expect.element(getByText(/27\.0.GB of 38\.0.GB/)).toBeVisible();
    await expect.element(getByRole('link', { name: 'a/chat' })).toHaveAttribute('href', '/servers/chat');
    await expectAccessible(container);
  });

  test('previews a start, and what it would stop', async () => {
    const { container, getByRole } = await render(MemoryStrip);
    pool.preview({ model: 'a/new' });
    await expect.element(getByRole('status')).toHaveTextContent(/Needs 15\.0.GB\. Stops a\/chat, idle for 1[12].min\./);
    expect(container.querySelectorAll('.evicted').length).toBeGreaterThan(0);
    expect(container.querySelectorAll('.ghost').length).toBeGreaterThan(0);
    pool.preview(null);
    await expect.element(getByRole('status')).toHaveTextContent('');
    expect(container.querySelector('.ghost')).toBeNull();
  });
});

test('in a narrow window, a line opens a list', async () => {
  await page.viewport(360, 640);
  const { getByRole } = await render(MemoryStrip);
  await getByRole('button', { name: /^Memory/ }).click();
  const dialog = getByRole('dialog');
  await expect.element(dialog).toHaveTextContent(/a\/coder: 21\.0.GB planned/);
  await expect.element(dialog).toHaveTextContent(/27\.0.GB of 38\.0.GB planned/);
});

import { afterEach, expect, it } from 'vitest';

import type { Setting } from '$lib/api';
import { rejection, testGateway, testStream } from '$lib/events/testing';

import { SettingStore } from './store.svelte';

function setting(key: string, fields: Partial<Setting> = {}): Setting {
  return {
    key,
    description: '',
    value: 90,
    source: 'default',
    locked: false,
    default: 90,
    expects: 'a number',
    environment: '',
    needs_restart: false,
    restart_pending: false,
    ...fields,
  };
}

let gateway: ReturnType<typeof testGateway>;

async function load(change: (body: unknown) => unknown): Promise<SettingStore> {
  const stream = testStream();
  gateway = testGateway({
    'GET /api/settings': () => ({ settings: [setting('a'), setting('b')] }),
    'PATCH /api/settings': change,
  });
  const store = new SettingStore(stream.events);
  stream.live(['settings']);
  await store.load();
  return store;
}

afterEach(() => gateway.restore());

it('shows a change at once, and all settings that it affected', async () => {
  const pending = setting('b', { restart_pending: true });
  const store = await load(() => ({ settings: [setting('a', { value: 7, source: 'database' }), pending] }));
  const changed = store.change({ a: 7 });
  expect(store.get('a')).toMatchObject({ value: 7, source: 'database' });
  expect(await changed).toMatchObject({ ok: true });
  expect(store.pendingRestart).toEqual([pending]);
});

it('takes all changes back if one is rejected', async () => {
  const store = await load(() => rejection(409, 'setting_locked'));
  const changed = store.change({ a: 7, b: null, unknown: 1 });
  expect(store.get('a')?.value).toBe(7);
  expect(await changed).toMatchObject({ ok: false });
  expect([store.get('a')?.value, store.get('unknown')]).toEqual([90, undefined]);
});

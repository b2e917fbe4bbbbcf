import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { rejection, testGateway, testStream } from '$lib/events/testing';

import { PoolStore } from './store.svelte';

const status = { budget_bytes: 100, used_bytes: 120, waiting: 1, servers: [] };

let store: PoolStore;
let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let plans: number;

beforeEach(async () => {
  // Requests need the other timers.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  plans = 0;
  stream = testStream();
  gateway = testGateway({
    'GET /api/pool': () => status,
    'POST /api/pool/plan': (body) => {
      plans += 1;
      const { model } = body as { model: string };
      return model === 'unknown' ? rejection(404, 'model_not_found') : { model, message: `Needs ${plans}` };
    },
  });
  store = new PoolStore(stream.events);
  stream.live(['pool']);
  await store.load();
});

afterEach(() => {
  gateway.restore();
  vi.useRealTimers();
});

it('has the budget, also where plans exceed it', () => {
  expect([store.budgetBytes, store.usedBytes, store.freeBytes, store.waiting]).toEqual([100, 120, 0, 1]);
  stream.receive({ type: 'events', events: [{ topic: 'pool', event: { ...status, used_bytes: 20 } }] });
  expect(store.freeBytes).toBe(80);
});

it('asks for a preview once the pointer stays, and only once while the pool does not change', async () => {
  for (const model of ['a', 'b', 'c']) store.preview({ model });
  expect(store.ghost).toMatchObject({ request: { model: 'c' }, plan: null });
  await vi.advanceTimersByTimeAsync(100);
  expect(plans).toBe(1);
  expect(store.ghost?.plan?.model).toBe('c');
  store.preview(null);
  expect(store.ghost).toBeNull();
  store.preview({ model: 'c' });
  expect(store.ghost?.plan?.model).toBe('c');
  await vi.advanceTimersByTimeAsync(100);
  expect(plans).toBe(1);
});

it('renews a preview when the pool changes', async () => {
  store.preview({ model: 'a' });
  await vi.advanceTimersByTimeAsync(100);
  stream.receive({ type: 'events', events: [{ topic: 'pool', event: status }] });
  // The earlier plan stays until there is a new one.
  expect(store.ghost?.plan?.message).toBe('Needs 1');
  await vi.advanceTimersByTimeAsync(100);
  expect(store.ghost?.plan?.message).toBe('Needs 2');
});

it('shows why there is no plan', async () => {
  store.preview({ model: 'unknown' });
  await vi.advanceTimersByTimeAsync(100);
  expect(store.ghost).toMatchObject({ plan: null, problem: { code: 'model_not_found' } });
});

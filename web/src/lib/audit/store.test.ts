import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import type { AuditRow, StreamEvent } from '$lib/api';
import { testGateway, testStream } from '$lib/events/testing';

import { AuditStore } from './store.svelte';

function row(id: string, fields: Partial<AuditRow> = {}): AuditRow {
  return {
    id,
    gateway_id: 'g',
    request_id: id,
    at_ms: 5,
    endpoint: '/v1/chat/completions',
    model: 'm',
    status: 200,
    duration_ms: 10,
    completion_tokens: 3,
    ...fields,
  };
}

function event(entry: AuditRow): StreamEvent {
  return { topic: 'audit', event: entry };
}

const none = { requests: 0, errors: 0, prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, duration_ms: 0 };

let store: AuditStore;
let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let stop: () => void;

const send = (...events: StreamEvent[]): void => stream.receive({ type: 'events', events });
const ids = (): string[] => store.rows.map((entry) => entry.id);

beforeEach(async () => {
  stream = testStream();
  const pages = [
    { rows: [row('b'), row('a')], next: 'a' },
    { rows: [row('older')], next: null },
  ];
  gateway = testGateway({
    'GET /api/audit': () => pages.shift() ?? { rows: [], next: null },
    'GET /api/audit/totals': () => ({ ...none, requests: 2 }),
  });
  store = new AuditStore(stream.events);
  stop = store.watch();
  stream.live(['audit']);
  await store.load();
});

afterEach(() => gateway.restore());

it('holds new rows back until they are wanted, and counts them in the totals', () => {
  send(event(row('c', { status: 500 })), event(row('b')), event(row('d')));
  expect([ids(), store.fresh]).toEqual([['b', 'a'], 2]);
  expect(store.totals).toEqual({ ...none, requests: 4, errors: 1, completion_tokens: 6, duration_ms: 20 });
  store.showFresh();
  expect([ids(), store.fresh]).toEqual([['d', 'c', 'b', 'a'], 0]);
});

it('adds pages of older rows', async () => {
  await store.more();
  expect([ids(), store.hasMore]).toEqual([['b', 'a', 'older'], false]);
});

it('reads the rows of a filter, and leaves others out of what is new', async () => {
  await store.setFilter({ min_status: 400, model: 'm' });
  send(event(row('ok')), event(row('other', { status: 500, model: 'x' })), event(row('bad', { status: 500 })));
  expect(store.fresh).toBe(1);
  expect(store.exportUrl('csv')).toBe('/api/audit/export?format=csv&min_status=400&model=m');
});

it('is live only while it is shown', async () => {
  const other = store.watch();
  stop();
  send(event(row('c')));
  expect(store.fresh).toBe(1);
  other();
  expect(stream.sent.at(-2)).toMatchObject({ type: 'read' });
  expect(stream.sent.at(-1)).toEqual({ type: 'topics', topics: [] });
  send(event(row('d')));
  expect(store.fresh).toBe(1);
  const before = gateway.requests.length;
  store.watch();
  await vi.waitFor(() => expect(gateway.requests).toHaveLength(before + 2));
});

import { afterEach, beforeEach, expect, it } from 'vitest';
import type { AuditRow, StreamEvent } from '$lib/api';
import { testGateway, testStream } from '$lib/events/testing';
import { RecentRequests } from './recent.svelte';
import { auditRow } from './testing';

let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let requests: RecentRequests;

const ended = (row: AuditRow): StreamEvent => ({ topic: 'audit', event: row });
const send = (...events: StreamEvent[]): void => stream.receive({ type: 'events', events });
const ids = (): string[] => requests.rows.map((row) => row.id);

beforeEach(async () => {
  stream = testStream();
  const pages = [
    { rows: [auditRow({ id: 'model', at_ms: 1 })], next: null },
    { rows: [auditRow({ id: 'profile', at_ms: 2, model: 'coder' })], next: 'profile' },
  ];
  gateway = testGateway({ 'GET /api/audit': () => pages.shift() ?? { rows: [], next: null } });
  requests = new RecentRequests(['tiny', 'coder'], stream.events);
  const loaded = requests.load();
  stream.live(['audit']);
  await loaded;
});

afterEach(() => gateway.restore());

it('are those of all names, newest first', () => {
  expect(gateway.requests).toHaveLength(2);
  expect([ids(), requests.isCut]).toEqual([['profile', 'model'], true]);
});

it('are added as they end, once, if they named the server', () => {
  const row = auditRow({ id: 'new', at_ms: 3 });
  send(ended(row), ended(row), ended(auditRow({ id: 'other', model: 'another' })));
  expect(ids()).toEqual(['new', 'profile', 'model']);
});

it('are live until they are closed', () => {
  requests.close();
  send(ended(auditRow({ id: 'new' })));
  expect(ids()).toEqual(['profile', 'model']);
});

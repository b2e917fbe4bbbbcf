import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import type { LogEvent } from '$lib/api';
import { line, logLine, rejection, reset, testGateway, testStream } from '$lib/events/testing';

import { LogStore } from './store.svelte';

let store: LogStore;
let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let histories: Record<string, LogEvent[] | Response>;

const messages = (): string[] => store.lines.map((entry) => entry.message);

beforeEach(() => {
  stream = testStream();
  histories = { gateway: [line(null, 1), line(null, 2)], s: [line('s', 1, { message: 's1', level: 'error' })] };
  const answer = (source: string) => () => {
    const history = histories[source];
    return history instanceof Response ? history : { lines: history };
  };
  gateway = testGateway({ 'GET /api/logs': answer('gateway'), 'GET /api/servers/s/logs': answer('s') });
  store = new LogStore(stream.events);
});

afterEach(() => gateway.restore());

async function open(...sources: string[]): Promise<() => void> {
  const close = store.open(sources);
  stream.live(sources.map((source) => `logs:${source}`));
  await vi.waitFor(() => expect([...store.states.values()].every((state) => state.status !== 'loading')).toBe(true));
  return close;
}

it('shows the history and then live lines, those of a message as one change', async () => {
  await open('gateway');
  expect(messages()).toEqual(['line 1', 'line 2']);
  stream.receive({ type: 'events', events: [logLine(null, 2), logLine(null, 3), logLine(null, 4)] });
  await Promise.resolve();
  expect([messages().length, store.total, store.status]).toEqual([4, 4, 'ready']);
});

it('keeps live lines that come before the history', async () => {
  const opened = open('gateway');
  stream.receive({ type: 'events', events: [logLine(null, 2), logLine(null, 3)] });
  await opened;
  await vi.waitFor(() => expect(messages()).toEqual(['line 1', 'line 2', 'line 3']));
});

it('marks what was lost after a reset', async () => {
  await open('gateway');
  histories.gateway = [line(null, 8), line(null, 9)];
  stream.receive({ type: 'events', events: [reset(['logs:gateway'])] });
  await vi.waitFor(() => expect(store.lines.map((entry) => entry.gap)).toEqual([false, false, true, false]));
});

it('filters all lines, and new ones as they come', async () => {
  await open('gateway', 's');
  store.setFilter({ levels: ['error'] });
  expect([messages(), store.total]).toEqual([['s1'], 3]);
  const events = [logLine('s', 2, { message: 'new', level: 'error' }), logLine('s', 3)];
  stream.receive({ type: 'events', events });
  await Promise.resolve();
  expect([messages(), store.total]).toEqual([['s1', 'new'], 5]);
  store.setFilter({ search: 'NEW' });
  expect(messages()).toEqual(['new']);
});

it('shows the other logs if one cannot be read, and reads it again on request', async () => {
  histories.s = rejection(404, 'server_not_found');
  await open('gateway', 's');
  expect([store.status, store.states.get('s')?.status, store.problem?.code]).toEqual([
    'ready',
    'error',
    'server_not_found',
  ]);
  histories.s = [line('s', 1)];
  store.reload('s');
  await vi.waitFor(() => expect([store.total, store.problem]).toEqual([3, null]));
});

it('ends with its last reader', async () => {
  const first = await open('gateway');
  const second = store.open(['gateway']);
  first();
  expect(store.total).toBe(2);
  second();
  expect([store.total, store.status]).toEqual([0, 'idle']);
  expect(stream.sent.at(-1)).toEqual({ type: 'topics', topics: [] });
});

it('exports what is shown', async () => {
  await open('gateway', 's');
  store.setFilter({ sources: ['s'] });
  const name = (): string => 'Qwen';
  expect(await store.exportText('txt', name).text()).toBe('1970-01-01T00:00:00.001Z ERROR Qwen: s1\n');
  expect(JSON.parse(await store.exportText('jsonl', name).text())).toEqual({
    source: 's',
    name: 'Qwen',
    at_ms: 1,
    level: 'error',
    message: 's1',
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Server, StreamEvent } from '$lib/api';
import { changed, loading, measured, rejection, running, server, testGateway, testStream } from '$lib/events/testing';

import { ServerStore } from './store.svelte';

let store: ServerStore;
let send: (...events: StreamEvent[]) => void;
let gateway: ReturnType<typeof testGateway>;

async function load(servers: Server[], routes: Parameters<typeof testGateway>[0] = {}): Promise<void> {
  const stream = testStream();
  gateway = testGateway({ 'GET /api/servers': () => ({ servers }), ...routes });
  store = new ServerStore(stream.events);
  send = (...events) => stream.receive({ type: 'events', events });
  stream.live(['servers', 'pool', 'profiles']);
  await store.load();
}

function pool(servers: Server[]): StreamEvent {
  return { topic: 'pool', event: { budget_bytes: 10, used_bytes: 1, waiting: 0, servers } };
}

const ids = (): string[] => store.list.map((entry) => entry.id);

beforeEach(() =>
  load([server('a'), server('b', { failure: { code: 'crash_loop', message: '', advice: '', log_tail: [] } })]),
);

afterEach(() => gateway.restore());

describe('events', () => {
  it('change servers in place, add them at the end, and remove those that stopped', () => {
    send(changed(server('c', { state: 'starting' })), changed(server('a', { pinned: true })));
    expect(ids()).toEqual(['a', 'b', 'c']);
    expect(store.find('a')?.pinned).toBe(true);
    send(changed(server('b', { state: 'stopped' })));
    expect(ids()).toEqual(['a', 'c']);
  });

  it('applied twice change nothing more', () => {
    const events = [changed(server('c')), running('c', 2), measured('c', 5, { tokens_per_second: 3 })];
    send(...events, ...events);
    expect(store.find('c')).toMatchObject({ running: 0 + 2, metrics: { tokens_per_second: 3 } });
    expect(store.history('c')).toHaveLength(1);
  });

  it('of the pool list all servers: a failed one that was started again is gone', () => {
    send(pool([server('a'), server('c', { state: 'starting' })]));
    expect(ids()).toEqual(['a', 'c']);
  });

  it('of loading are progress until it is over', () => {
    send(changed(server('c', { state: 'starting' })), loading('c', 40));
    expect(store.progress.get('c')).toEqual({ loaded_bytes: 40, total_bytes: 100 });
    send(changed(server('c', { state: 'ready' })));
    expect(store.progress.has('c')).toBe(false);
  });

  it('with measurements are kept for charts, and survive lists that have less', () => {
    for (let second = 1; second <= 1_000; second += 1) send(measured('a', second, { cpu_percent: second }));
    send(measured('a', 3, { cpu_percent: 0 }));
    expect(store.history('a')).toHaveLength(900);
    send(pool([server('a', { metrics: { at_ms: 2_000, resident_bytes: 5 } })]));
    expect(store.find('a')?.metrics?.cpu_percent).toBe(1_000);
  });

  it('of exits tell the cause', () => {
    send({
      topic: 'servers',
      event: { type: 'exited', id: 'a', cause: 'crashed', message: 'signal 11', log_tail: ['x'] },
    });
    expect(store.exits.get('a')).toMatchObject({ cause: 'crashed', log_tail: ['x'] });
  });

  it('of profiles change which ones a server serves', async () => {
    gateway.restore();
    const names = [['old'], ['new'], ['new']];
    const servers = (): Server[] => [server('a', { profiles: names.shift() ?? [] })];
    await load([], { 'GET /api/servers': () => ({ servers: servers() }) });
    send({ topic: 'profiles', event: { type: 'removed', id: 'p' } });
    await vi.waitFor(() => expect(store.find('a')?.profiles).toEqual(['new']));
    expect(gateway.requests).toHaveLength(2);
  });

  it('of unknown servers are left out', () => {
    send(running('x', 1), measured('x', 1));
    expect(ids()).toEqual(['a', 'b']);
    expect(store.history('x')).toEqual([]);
  });
});

describe('servers', () => {
  it('are found by id, model and profile, running ones first', async () => {
    gateway.restore();
    const failure = { code: 'crashed', message: '', advice: '', log_tail: [] };
    await load([server('a', { name: 'm', failure }), server('b', { name: 'm', profiles: ['p'] })]);
    expect([store.find('a')?.id, store.find('m')?.id, store.ofProfile('p')?.id]).toEqual(['a', 'b', 'b']);
    expect([store.running.length, store.failed.length, store.ofModel('m').length]).toEqual([1, 1, 2]);
  });
});

describe('actions', () => {
  it('show their result at once and then that of the gateway', async () => {
    gateway.restore();
    await load([server('a')], { 'POST /api/servers/a/pin': () => server('a', { pinned: true, restarts: 7 }) });
    const pinned = store.pin('a', true);
    expect([store.find('a')?.pinned, store.isPending('a')]).toEqual([true, true]);
    await pinned;
    expect(store.find('a')).toMatchObject({ pinned: true, restarts: 7 });
    expect(store.isPending('a')).toBe(false);
  });

  it('that are rejected are taken back', async () => {
    gateway.restore();
    await load([server('a', { running: 1 })], { 'DELETE /api/servers/a': () => rejection(409, 'server_busy') });
    const stopped = store.stop('a');
    expect(store.find('a')?.state).toBe('stopping');
    expect(await stopped).toMatchObject({ ok: false, problem: { code: 'server_busy', status: 409 } });
    expect(store.find('a')?.state).toBe('ready');
  });

  it('add a server that starts', async () => {
    gateway.restore();
    const plan = { model: 'm' };
    await load([], { 'POST /api/servers': () => ({ plan, server: server('n', { state: 'starting' }) }) });
    const started = store.start({ model: 'owner/n' });
    expect(store.isStarting('owner/n')).toBe(true);
    expect(await started).toMatchObject({ ok: true, value: { plan } });
    expect([ids(), store.isStarting('owner/n')]).toEqual([['n'], false]);
  });

  it('put the next server of a model in the place of the one that failed, before the event about it', async () => {
    gateway.restore();
    const failure = { code: 'crash_loop', message: '', advice: '', log_tail: [] };
    const next = server('n', { state: 'starting', path: '/models/b' });
    const other = server('o', { failure, path: '/models/b', settings: { context_length: 9 } });
    await load([server('a'), server('b', { failure }), other], {
      'POST /api/servers': () => ({ plan: {}, server: next }),
    });
    await store.start({ model: 'owner/b' });
    expect(ids()).toEqual(['a', 'o', 'n']);
    send(changed(server('b', { failure })));
    expect(ids()).toEqual(['a', 'o', 'n']);
  });

  it('remove a failed server for good that is dismissed, also if it was gone already', async () => {
    for (const response of [server('b', { state: 'stopped' }), rejection(404, 'server_not_found')]) {
      gateway.restore();
      const failed = server('b', { failure: { code: 'crashed', message: '', advice: '', log_tail: [] } });
      await load([server('a'), failed], { 'DELETE /api/servers/b': () => response });
      const dismissed = store.dismiss('b');
      send(changed(failed));
      await dismissed;
      send(changed(failed), pool([server('a'), failed]));
      expect(ids()).toEqual(['a']);
    }
  });

  it('without a gateway fail as unreachable', async () => {
    const dismissed = store.dismiss('b');
    expect(ids()).toEqual(['a']);
    expect(await dismissed).toMatchObject({ ok: false, problem: { isUnreachable: true } });
    expect(ids()).toEqual(['a', 'b']);
  });
});

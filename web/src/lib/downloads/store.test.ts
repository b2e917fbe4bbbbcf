import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Download, StreamEvent } from '$lib/api';
import { download, progress, rejection, testGateway, testStream } from '$lib/events/testing';

import { DownloadStore } from './store.svelte';

let store: DownloadStore;
let send: (...events: StreamEvent[]) => void;
let gateway: ReturnType<typeof testGateway>;

async function load(downloads: Download[], routes: Parameters<typeof testGateway>[0] = {}): Promise<void> {
  const stream = testStream();
  gateway = testGateway({ 'GET /api/downloads': () => ({ downloads }), ...routes });
  store = new DownloadStore(stream.events);
  send = (...events) => stream.receive({ type: 'events', events });
  stream.live(['downloads']);
  await store.load();
}

function changed(entry: Download): StreamEvent {
  return { topic: 'downloads', event: { type: 'changed', download: entry } };
}

const ids = (): string[] => store.list.map((entry) => entry.id);

beforeEach(() => load([download('a'), download('b', { state: 'queued' }), download('c', { state: 'done' })]));

afterEach(() => gateway.restore());

describe('the queue', () => {
  it('keeps its order when downloads change, and gets new ones at the end', () => {
    send(changed(download('b', { state: 'paused' })), changed(download('d')));
    expect(ids()).toEqual(['a', 'b', 'c', 'd']);
    send({ topic: 'downloads', event: { type: 'reordered', ids: ['d', 'a', 'b', 'c'] } });
    expect(ids()).toEqual(['d', 'a', 'b', 'c']);
    send({ topic: 'downloads', event: { type: 'removed', id: 'a' } });
    expect(ids()).toEqual(['d', 'b', 'c']);
  });

  it('has those that go on, and those that need attention', () => {
    send(changed(download('d', { state: 'failed' })), changed(download('e', { state: 'cancelled' })));
    expect(store.active.map((entry) => entry.id)).toEqual(['a', 'b']);
    expect(store.shown.map((entry) => entry.id)).toEqual(['a', 'b', 'd']);
  });

  it('sums the speed of those that run', () => {
    send(progress('a', 20, 8), progress('b', 1, 5));
    expect(store.bytesPerSecond).toBe(8);
    expect(store.items.get('a')).toMatchObject({ done_bytes: 20, total_bytes: 100, remaining_seconds: 10 });
    send(progress('a', 20, 0), progress('unknown', 1, 1));
    expect(store.items.get('a')?.remaining_seconds).toBeNull();
    expect(ids()).toHaveLength(3);
  });

  it('finds the latest download of a repository', () => {
    send(changed(download('d', { repo_id: 'owner/a', created_at_ms: 5 })));
    expect(store.ofRepo('owner/a')?.id).toBe('d');
    expect(store.ofRepo('owner/x')).toBeUndefined();
  });
});

describe('actions', () => {
  it('are shown at once, and taken back if they are rejected', async () => {
    gateway.restore();
    const conflict = (): Response => rejection(409, 'conflict');
    await load([download('a'), download('b')], {
      'POST /api/downloads/a/pause': () => download('a', { state: 'paused', done_bytes: 9 }),
      'POST /api/downloads/b/pause': conflict,
      'PUT /api/downloads/order': conflict,
      'DELETE /api/downloads/a': () => new Response(null, { status: 204 }),
    });
    const paused = store.pause('a');
    expect(store.items.get('a')?.state).toBe('paused');
    await paused;
    expect(store.items.get('a')?.done_bytes).toBe(9);
    expect((await store.pause('b')).ok).toBe(false);
    expect(store.items.get('b')?.state).toBe('running');
    const ordered = store.reorder(['b']);
    expect(ids()).toEqual(['b', 'a']);
    await ordered;
    expect(ids()).toEqual(['a', 'b']);
    expect(await store.remove('a')).toEqual({ ok: true, value: null });
    expect(ids()).toEqual(['b']);
  });

  it('add a download, which its event adds only once', async () => {
    gateway.restore();
    await load([], { 'POST /api/downloads': (body) => download('n', body as Partial<Download>) });
    const added = store.add({ repo_id: 'owner/n' });
    expect(store.isAdding('owner/n')).toBe(true);
    await added;
    send(changed(download('n')));
    expect([ids(), store.isAdding('owner/n')]).toEqual([['n'], false]);
  });
});

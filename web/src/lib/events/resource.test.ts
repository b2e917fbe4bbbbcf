import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { Problem } from '../api/problem';
import type { StreamEvent } from '../api/types';
import { fill, removeEntry, replace, Resource } from './resource.svelte';
import { notice, reset, testStream } from './testing';

/** Shows the last notice, and reads it with `answer`. */
class LastNotice extends Resource {
  message = '';
  reads = 0;
  answer: () => Promise<string> = () => Promise.resolve('snapshot');

  protected async fetch(): Promise<() => void> {
    this.reads += 1;
    const message = await this.answer();
    return () => (this.message = message);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'notices') this.message = event.event.message;
  }

  change(message: string, request: () => Promise<void>): Promise<unknown> {
    return this.act('message', request, () => {
      const before = this.message;
      this.message = message;
      return () => (this.message = before);
    });
  }
}

let stream: ReturnType<typeof testStream>;
let store: LastNotice;

const send = (...events: StreamEvent[]): void => stream.receive({ type: 'events', events });

beforeEach(() => {
  stream = testStream();
  store = new LastNotice(stream.events, ['notices']);
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a snapshot', () => {
  it('is read when the stream is live, and once', async () => {
    const loaded = store.load();
    void store.load();
    expect([store.status, store.reads]).toEqual(['loading', 0]);
    stream.live(['notices']);
    await loaded;
    expect([store.status, store.message, store.reads]).toEqual(['ready', 'snapshot', 1]);
    await store.load();
    expect(store.reads).toBe(1);
    expect(stream.sent).toContainEqual({ type: 'topics', topics: ['notices'] });
  });

  it('is followed by the events that came while it was read', async () => {
    stream.live(['notices']);
    store.answer = async () => {
      send(notice('event'));
      return 'snapshot';
    };
    await store.load();
    expect(store.message).toBe('event');
  });

  it('is read again after a reset, also if it was being read', async () => {
    stream.live(['notices']);
    await store.load();
    send(reset(['notices', 'pool']));
    await vi.waitFor(() => expect(store.reads).toBe(2));
    send(reset(['pool']));
    let isFirst = true;
    store.answer = async () => {
      if (isFirst) send(reset(['notices']));
      isFirst = false;
      return `read ${store.reads}`;
    };
    await store.reload();
    expect(store.message).toBe('read 4');
  });

  it('that was read without the stream is read again when it is live', async () => {
    vi.useFakeTimers();
    const loaded = store.load();
    await vi.advanceTimersByTimeAsync(2_000);
    await loaded;
    expect([store.status, store.reads]).toEqual(['ready', 1]);
    stream.live(['notices']);
    await vi.advanceTimersByTimeAsync(0);
    expect(store.reads).toBe(2);
    stream.live(['notices', 'pool']);
    await vi.advanceTimersByTimeAsync(0);
    expect(store.reads).toBe(2);
  });
});

describe('a failure', () => {
  it('is shown, and gone after the next snapshot', async () => {
    stream.live(['notices']);
    store.answer = () => Promise.reject(Problem.unreachable());
    await store.load();
    expect([store.status, store.problem?.code]).toEqual(['error', 'unreachable']);
    store.answer = () => Promise.resolve('snapshot');
    await store.load();
    expect([store.status, store.problem]).toEqual(['ready', null]);
  });

  it('leaves the data that is there', async () => {
    stream.live(['notices']);
    await store.load();
    store.answer = () => Promise.reject(Problem.unreachable());
    await store.reload();
    expect([store.status, store.message, store.problem?.code]).toEqual(['ready', 'snapshot', 'unreachable']);
    send(notice('event'));
    expect(store.message).toBe('event');
  });
});

describe('an action', () => {
  it('shows its result at once and takes it back if it fails', async () => {
    const failed = store.change('new', () => Promise.reject(Problem.unreachable()));
    expect([store.message, store.isPending('message')]).toEqual(['new', true]);
    expect(await failed).toMatchObject({ ok: false, problem: { code: 'unreachable' } });
    expect([store.message, store.isPending('message')]).toEqual(['', false]);
    expect(await store.change('newer', () => Promise.resolve())).toMatchObject({ ok: true });
    expect(store.message).toBe('newer');
  });

  it('leaves alone what has changed since', () => {
    const map = new Map([['a', 1]]);
    const undo = replace(map, 'a', 2);
    map.set('a', 3);
    undo();
    expect(map.get('a')).toBe(3);
    replace(map, 'b', 1)();
    expect(map.has('b')).toBe(false);
    removeEntry(map, 'a')();
    expect(map.get('a')).toBe(3);
    fill(map, [7, 8], String);
    expect([...map]).toEqual([
      ['7', 7],
      ['8', 8],
    ]);
  });
});

describe('a page', () => {
  it('that was forgotten subscribes and reads again', async () => {
    stream.live(['notices']);
    await store.load();
    stream.sent.length = 0;
    stream.receive({ type: 'forgotten' });
    expect(stream.sent).toContainEqual({ type: 'topics', topics: ['notices'] });
    await vi.waitFor(() => expect(store.reads).toBe(2));
  });

  it('says that it has read a message', async () => {
    send(notice('a'));
    expect(stream.sent.at(-1)).toEqual({ type: 'read' });
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { notice, reset, testStream } from './testing';

let stream: ReturnType<typeof testStream>;

beforeEach(() => {
  vi.useFakeTimers();
  stream = testStream();
});

afterEach(() => {
  vi.useRealTimers();
});

function listener(...topics: string[]) {
  return { topics, apply: vi.fn(), reset: vi.fn(), live: vi.fn() };
}

describe('listeners', () => {
  it('get the events and resets of their topics until they leave', () => {
    const [one, other] = [listener('notices', 'pool'), listener('pool')];
    const leave = stream.events.subscribe(one);
    stream.events.subscribe(other);
    expect(stream.sent.at(-1)).toEqual({ type: 'topics', topics: ['notices', 'pool'] });
    stream.receive({ type: 'events', events: [notice('a'), reset(['notices', 'audit'])] });
    expect(one.apply.mock.calls).toEqual([[notice('a')]]);
    expect(one.reset.mock.calls).toEqual([[['notices']]]);
    expect([other.apply.mock.calls.length, other.reset.mock.calls.length]).toEqual([0, 0]);
    leave();
    expect(stream.sent.at(-1)).toEqual({ type: 'topics', topics: ['pool'] });
  });

  it('hear once that all their topics are live, and again after they were not', () => {
    const one = listener('notices', 'pool');
    stream.events.subscribe(one);
    stream.live(['notices']);
    expect(one.live).not.toHaveBeenCalled();
    stream.live(['notices', 'pool']);
    stream.live(['audit', 'notices', 'pool']);
    expect(one.live).toHaveBeenCalledTimes(1);
    stream.live([]);
    stream.live(['notices', 'pool']);
    expect(one.live).toHaveBeenCalledTimes(2);
  });
});

describe('a snapshot', () => {
  it('waits for the stream', async () => {
    const ready = stream.events.ready(['pool']);
    stream.live(['notices']);
    stream.live(['notices', 'pool']);
    expect(await ready).toBe(true);
    expect(await stream.events.ready(['pool'])).toBe(true);
  });

  it('does not wait for a stream that does not work', async () => {
    const ready = stream.events.ready(['pool']);
    const status = { state: 'waiting', topics: [], downSinceMs: 5, retryAtMs: 10, problem: null } as const;
    stream.receive({ type: 'status', status });
    expect(await ready).toBe(false);
    expect(stream.events.connection).toMatchObject({ state: 'waiting', isDown: true, retryAtMs: 10 });
    stream.events.connection.retryNow();
    expect(stream.sent.at(-1)).toEqual({ type: 'retry' });
  });

  it('does not wait for long', async () => {
    const ready = stream.events.ready(['pool']);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await ready).toBe(false);
  });
});

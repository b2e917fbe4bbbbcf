import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ToPage } from './exchange';
import { openLink } from './link';

/** A SharedWorker that a test controls. */
class TestWorker {
  static instances: TestWorker[] = [];
  readonly sent: unknown[] = [];
  readonly errors: (() => void)[] = [];
  isClosed = false;
  readonly port = {
    onmessage: null as ((event: { data: ToPage }) => void) | null,
    postMessage: (message: unknown) => this.sent.push(message),
    close: () => (this.isClosed = true),
  };

  constructor() {
    TestWorker.instances.push(this);
  }

  addEventListener(_: 'error', listener: () => void): void {
    this.errors.push(listener);
  }

  say(message: ToPage): void {
    this.port.onmessage?.({ data: message });
  }
}

const forgotten: ToPage = { type: 'forgotten' };

let messages: ToPage[];
let replaced: number;

function open(): ReturnType<typeof openLink> {
  return openLink(
    (message) => messages.push(message),
    () => (replaced += 1),
  );
}

beforeEach(() => {
  vi.useFakeTimers();
  TestWorker.instances = [];
  messages = [];
  replaced = 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a page', () => {
  it('talks to the SharedWorker', async () => {
    vi.stubGlobal('SharedWorker', TestWorker);
    const send = open();
    send({ type: 'retry' });
    const [worker] = TestWorker.instances;
    worker?.say(forgotten);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([worker?.sent, messages, replaced]).toEqual([[{ type: 'retry' }], [forgotten], 0]);
  });

  it('has its own stream where there is no SharedWorker', () => {
    vi.stubGlobal('SharedWorker', undefined);
    open();
    expect(messages).toMatchObject([{ type: 'status', status: { state: 'idle' } }]);
  });

  it('has its own stream where a SharedWorker is forbidden', () => {
    vi.stubGlobal('SharedWorker', () => {
      throw new Error('forbidden');
    });
    open();
    expect(messages).toHaveLength(1);
  });

  it('has its own stream if the script of the worker cannot be loaded, or says nothing', async () => {
    vi.stubGlobal('SharedWorker', TestWorker);
    open();
    TestWorker.instances[0]?.errors.forEach((listener) => listener());
    expect([messages.length, replaced, TestWorker.instances[0]?.isClosed]).toEqual([1, 1, true]);
    // It is given up for good.
    TestWorker.instances[0]?.say(forgotten);
    expect(messages).toHaveLength(1);
    open();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(replaced).toBe(2);
  });
});

import { expect, it } from 'vitest';

import { Problem } from '$lib/api';

import { newKey, pauseMs, sendUntilReceived } from './send';

const rejected = (): Problem => new Problem({ type: 't', title: 'T', status: 409, detail: 'd', code: 'taken' });

it('repeats what the gateway did not receive, and nothing else', async () => {
  const failures = [Problem.unreachable(), Problem.unreachable(), null];
  const waits: string[] = [];
  const result = await sendUntilReceived(
    async () => {
      const failure = failures.shift();
      if (failure) throw failure;
      return 'sent';
    },
    { signal: new AbortController().signal, onwait: ({ code }) => waits.push(code), pause: async () => undefined },
  );
  expect([result, waits]).toEqual([{ ok: true, value: 'sent' }, ['unreachable', 'unreachable']]);

  let attempts = 0;
  const rejection = await sendUntilReceived(
    async () => {
      attempts += 1;
      throw rejected();
    },
    { signal: new AbortController().signal, onwait: () => undefined, pause: async () => undefined },
  );
  expect([rejection.ok, attempts]).toEqual([false, 1]);
});

it('ends when it is cancelled', async () => {
  const abort = new AbortController();
  const result = await sendUntilReceived(() => Promise.reject(Problem.unreachable()), {
    signal: abort.signal,
    onwait: () => abort.abort(),
    pause: async () => undefined,
  });
  expect(result.ok).toBe(false);
});

it('waits longer each time, up to a limit', () => {
  expect([1, 2, 3, 20].map((failures) => pauseMs(failures, 0.5))).toEqual([500, 1_000, 2_000, 15_000]);
  expect(pauseMs(1, 0)).toBeLessThan(pauseMs(1, 1));
});

it('makes a key for each message', () => {
  expect(newKey()).toMatch(/^[0-9a-f]{32}$/);
  expect(newKey()).not.toBe(newKey());
});

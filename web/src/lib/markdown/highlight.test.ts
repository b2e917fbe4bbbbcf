import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Highlighter, type HighlightRequest, type HighlightResponse } from './highlight';

interface StartedWorker {
  requests: HighlightRequest[];
  receive: (response: HighlightResponse) => void;
  fail: () => void;
  isClosed: boolean;
}

function setUp(): { highlighter: Highlighter; workers: StartedWorker[] } {
  const workers: StartedWorker[] = [];
  const highlighter = new Highlighter((receive, fail) => {
    const worker: StartedWorker = { requests: [], receive, fail, isClosed: false };
    workers.push(worker);
    return { post: (request) => worker.requests.push(request), close: () => (worker.isClosed = true) };
  });
  return { highlighter, workers };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test('one worker starts with the first code, and equal code is requested once', async () => {
  const { highlighter, workers } = setUp();
  expect(workers).toHaveLength(0);
  const first = highlighter.highlight('x = 1', 'Python');
  const same = highlighter.highlight('x = 1', 'Python');
  const other = highlighter.highlight('x = 2', 'python');
  const [worker] = workers;
  expect(workers).toHaveLength(1);
  expect(worker?.requests.map(({ text, language }) => [text, language])).toEqual([
    ['x = 1', 'python'],
    ['x = 2', 'python'],
  ]);
  const spans = [{ scope: null, text: 'x = 1' }];
  worker?.receive({ id: worker.requests[0]?.id ?? -1, spans });
  worker?.receive({ id: worker.requests[1]?.id ?? -1, spans: null });
  expect(await first).toEqual(spans);
  expect(await same).toEqual(spans);
  expect(await other).toBeNull();
});

test('code that takes too long stays as it is, and the next code gets another worker', async () => {
  const { highlighter, workers } = setUp();
  const slow = highlighter.highlight('slow', 'js');
  const waiting = highlighter.highlight('waiting', 'js');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(await slow).toBeNull();
  expect(await waiting).toBeNull();
  expect(workers[0]?.isClosed).toBe(true);
  const next = highlighter.highlight('next', 'js');
  workers[1]?.receive({ id: workers[1].requests[0]?.id ?? -1, spans: [] });
  expect(await next).toEqual([]);
});

test('a worker that does not start leaves code as it is', async () => {
  const { highlighter, workers } = setUp();
  const found = highlighter.highlight('x', 'js');
  workers[0]?.fail();
  expect(await found).toBeNull();
});

test('very long code is not highlighted', async () => {
  const { highlighter, workers } = setUp();
  expect(await highlighter.highlight('x'.repeat(1_000_000), 'js')).toBeNull();
  expect(workers).toHaveLength(0);
});

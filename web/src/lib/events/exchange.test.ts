import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { Problem } from '../api/problem';
import type { StreamRequest } from '../api/stream';
import { Exchange, type ToPage } from './exchange';
import { notice } from './testing';

/** A connection that a test controls. */
interface Connection extends StreamRequest {
  open: () => void;
  send: (text: string) => void;
  end: (problem?: Problem) => void;
}

let connections: Connection[];
let exchange: Exchange;

beforeEach(() => {
  vi.useFakeTimers();
  connections = [];
  exchange = new Exchange((request, open, send) => {
    const { promise, resolve, reject } = withResolvers();
    const end = (problem?: Problem): void => (problem === undefined ? resolve() : reject(problem));
    request.signal.addEventListener('abort', () => reject(Problem.aborted()));
    connections.push({ ...request, open, send, end });
    return promise;
  });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A page, with what it got. */
function page(topics: string[]) {
  const messages: ToPage[] = [];
  const send = exchange.connect((message) => messages.push(message));
  send({ type: 'topics', topics });
  const events = (): unknown[] => messages.flatMap((message) => (message.type === 'events' ? message.events : []));
  const state = (): string | undefined =>
    messages.flatMap((message) => (message.type === 'status' ? [message.status.state] : [])).at(-1);
  return { messages, send, events, state };
}

function frame(number: number, text: string): string {
  return `id: 1-${number}\ndata: ${JSON.stringify(notice(text))}\n\n`;
}

it('opens the connection before a page says what it wants, and keeps it if that is all', async () => {
  exchange.prepare(['servers', 'notices']);
  connections[0]?.open();
  const one = page(['notices', 'servers']);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(one.state()).toBe('live');
  expect(connections.map(({ topics }) => topics)).toEqual([['notices', 'servers']]);
  exchange.prepare(['servers']);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(connections).toHaveLength(1);
  one.send({ type: 'bye' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connections[0]?.signal.aborted).toBe(true);
});

it('shares one connection among all pages', async () => {
  const pages = Array.from({ length: 20 }, () => page(['notices']));
  connections[0]?.open();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(connections).toHaveLength(1);
  connections[0]?.send(frame(1, 'a') + frame(2, 'b'));
  await vi.advanceTimersByTimeAsync(16);
  for (const { messages } of pages) {
    expect(messages.at(-1)).toEqual({ type: 'events', events: [notice('a'), notice('b')] });
  }
});

it('sends no more than a message per frame', async () => {
  const { messages, send } = page(['notices']);
  connections[0]?.open();
  for (let index = 1; index <= 10; index += 1) connections[0]?.send(frame(index, String(index)));
  await vi.advanceTimersByTimeAsync(16);
  connections[0]?.send(frame(11, 'next'));
  await vi.advanceTimersByTimeAsync(100);
  const sent = (): number => messages.filter((message) => message.type === 'events').length;
  expect(sent()).toBe(1);
  send({ type: 'read' });
  await vi.advanceTimersByTimeAsync(16);
  expect(sent()).toBe(2);
});

it('continues after the last event when the connection was lost', async () => {
  const { events, state, messages } = page(['notices']);
  connections[0]?.open();
  connections[0]?.send(frame(7, 'a'));
  connections[0]?.end(Problem.unreachable());
  await vi.advanceTimersByTimeAsync(16);
  expect(state()).toBe('waiting');
  expect(messages.find((message) => message.type === 'status' && message.status.problem !== null)).toMatchObject({
    status: { problem: { code: 'unreachable' } },
  });
  await vi.advanceTimersByTimeAsync(600);
  expect(connections[1]).toMatchObject({ topics: ['notices'], lastEventId: '1-7' });
  connections[1]?.open();
  expect(state()).toBe('live');
  expect(events()).toEqual([notice('a')]);
});

it('changes its topics with those of the pages, without a gap', async () => {
  page(['notices']);
  connections[0]?.open();
  connections[0]?.send('id: 1-3\n\n');
  const second = page(['audit']);
  expect(connections).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(50);
  expect(connections[0]?.signal.aborted).toBe(true);
  expect(connections[1]).toMatchObject({ topics: ['audit', 'notices'], lastEventId: '1-3' });
  connections[1]?.open();
  second.send({ type: 'bye' });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connections[2]?.topics).toEqual(['notices']);
});

it('opens the connection again after silence, but not while comments arrive', async () => {
  page(['notices']);
  connections[0]?.open();
  for (let index = 0; index < 10; index += 1) {
    await vi.advanceTimersByTimeAsync(10_000);
    connections[0]?.send(': keepalive\n\n');
  }
  expect(connections).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(26_000);
  expect(connections[0]?.signal.aborted).toBe(true);
  expect(connections).toHaveLength(2);
});

it('tells a page that it was forgotten', async () => {
  const frozen = page(['notices']);
  connections[0]?.open();
  connections[0]?.send(frame(1, 'a'));
  await vi.advanceTimersByTimeAsync(16);
  vi.setSystemTime(Date.now() + 61_000);
  connections[0]?.send(frame(2, 'b'));
  frozen.send({ type: 'read' });
  expect(frozen.messages.at(-1)).toEqual({ type: 'forgotten' });
});

it('ignores what is not an event', async () => {
  const { events } = page(['notices']);
  connections[0]?.open();
  connections[0]?.send('data: {\n\ndata: 7\n\ndata: {"topic":"notices"}\n\n');
  await vi.advanceTimersByTimeAsync(16);
  expect(events()).toEqual([]);
});

it('closes the connection when no page is left', async () => {
  const { send } = page(['notices']);
  connections[0]?.open();
  send({ type: 'bye' });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(connections[0]?.signal.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(connections).toHaveLength(1);
});

/** `Promise.withResolvers` needs a later Node. */
function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (error: Problem) => void } {
  let resolve: () => void = () => undefined;
  let reject: (error: Problem) => void = () => undefined;
  const promise = new Promise<void>((onResolve, onReject) => ([resolve, reject] = [onResolve, onReject]));
  return { promise, resolve, reject };
}

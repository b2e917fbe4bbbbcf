import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';

import { Problem, type NewPart, type RunStarted } from '$lib/api';

import { Outbox, type Outgoing } from './outbox.svelte';
import { response, run } from './testing';

const started: RunStarted = { run: run('2'), messages: [response('2', '')], last_event_id: '1' };
const hi: NewPart[] = [{ type: 'text', text: 'Hi' }];
const rejected = (): Problem => new Problem({ type: 't', title: 'T', status: 409, detail: 'd', code: 'taken' });

let attempts: { message: Outgoing; resolve: (value: RunStarted) => void; reject: (problem: Problem) => void }[];
let outbox: Outbox;
let back: Outgoing[];

// Pauses end when the browser has a network again.
beforeAll(() => vi.stubGlobal('window', { addEventListener: () => undefined, removeEventListener: () => undefined }));
afterAll(() => vi.unstubAllGlobals());

beforeEach(() => {
  attempts = [];
  back = [];
  outbox = Outbox.open('c', post);
});

function post(message: Outgoing, signal: AbortSignal): Promise<RunStarted> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(Problem.aborted()));
    attempts.push({ message, resolve, reject });
  });
}

it('a request under way goes on when the chat is closed', async () => {
  const sent = outbox.send(hi, {}, 'm');
  expect(outbox.take()).toEqual([]);
  outbox.close((message) => back.push(message));
  attempts[0]?.resolve(started);
  expect(await sent).toEqual({ ok: true, value: started });
  expect([attempts[0]?.message.parent, outbox.items, back]).toEqual(['m', [], []]);
});

it('what waits is given back once when the chat is closed', async () => {
  const sent = outbox.send(hi, {}, undefined);
  attempts[0]?.reject(Problem.unreachable());
  await vi.waitFor(() => expect(outbox.items[0]?.problem?.isUnreachable).toBe(true));
  outbox.close((message) => back.push(message));
  expect((await sent).ok).toBe(false);
  expect([back.map(({ content }) => content), outbox.items, attempts.length]).toEqual([[hi], [], 1]);
});

it.each([
  ['rejected', rejected],
  ['not received', Problem.unreachable],
])('what is %s after the chat was closed is given back', async (_name, problem) => {
  const sent = outbox.send(hi, {}, null);
  outbox.close((message) => back.push(message));
  attempts[0]?.reject(problem());
  expect((await sent).ok).toBe(false);
  expect([back.map(({ content }) => content), outbox.items, attempts.length]).toEqual([[hi], [], 1]);
});

it('a message under way is shown again when its chat is opened again, and stays if it fails then', async () => {
  const sent = outbox.send(hi, {}, null);
  outbox.close((message) => back.push(message));
  const again = Outbox.open('c', post);
  expect(again.items.map(({ content }) => content)).toEqual([hi]);
  attempts[0]?.reject(rejected());
  await sent;
  expect([again.items[0]?.isRejected, back]).toEqual([true, []]);
});

it('one that was rejected is sent again after the message that is shown then', async () => {
  const sent = outbox.send(hi, {}, 'a');
  attempts[0]?.reject(rejected());
  await sent;
  const [message] = outbox.items;
  expect(message).toMatchObject({ isRejected: true, parent: 'a' });
  const again = outbox.resend(message?.key ?? '', 'b');
  attempts[1]?.resolve(started);
  expect((await again)?.ok).toBe(true);
  expect([attempts[1]?.message.parent, attempts[1]?.message.key === message?.key]).toEqual(['b', true]);
});

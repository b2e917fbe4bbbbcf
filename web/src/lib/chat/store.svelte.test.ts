import { flushSync } from 'svelte';
import { expect, test } from 'vitest';

import type { ChatDetail, RunEvent, StreamEvent } from '$lib/api';
import { testGateway, testStream } from '$lib/events/testing';

import { OpenChat } from './store.svelte';
import { chat, question, recorded, response, run } from './testing';

test('a token is the concern of its own response', async () => {
  const stream = testStream();
  const detail: ChatDetail = {
    chat: chat('c', { leaf_id: '3' }),
    messages: [
      question('1', 'Hi'),
      response('2', 'Hello', { parent_id: '1' }),
      response('3', '', { parent_id: '1', state: 'running', run: 'run-3' }),
    ],
    runs: [run('3', { state: 'generating' })],
    last_event_id: '1',
  };
  const gateway = testGateway({ 'GET /api/chats/c': () => detail });
  const store = new OpenChat('c', stream.events);
  const loaded = store.load();
  stream.live(['chat:c']);
  await loaded;
  gateway.restore();

  const receive = (event: RunEvent): void => {
    const streamed: StreamEvent = { topic: 'chat', event: { type: 'run', id: 'c', event } };
    stream.receive({ type: 'events', events: [streamed] });
    flushSync();
  };
  let evaluations = 0;
  const states: (string | undefined)[] = [];
  const texts: (string | undefined)[] = [];
  const destroy = $effect.root(() => {
    const other = $derived.by(() => {
      evaluations += 1;
      return store.live('2');
    });
    $effect(() => void other);
    $effect(() => {
      states.push(store.current);
    });
    $effect(() => {
      texts.push(store.live('3')?.text);
    });
  });
  flushSync();
  const all = recorded('run-3', [
    { type: 'text', text: 'a' },
    { type: 'text', text: 'b' },
    { type: 'finished', reason: 'stop' },
  ]);
  for (const event of all.slice(0, 2)) receive(event);
  expect(texts).toEqual(['', 'a', 'ab']);
  expect([evaluations, states]).toEqual([1, ['run-3']]);
  // Once it is over, there is nothing to stop.
  for (const event of all.slice(2)) receive(event);
  expect(states).toEqual(['run-3', undefined]);
  destroy();
  store.close();
});

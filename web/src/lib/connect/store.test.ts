import { afterEach, beforeEach, expect, it } from 'vitest';

import type { ClientActivity, StreamEvent } from '$lib/api';
import { testGateway, testStream } from '$lib/events/testing';

import { ClientStore } from './store.svelte';
import { activity, client } from './testing';

let store: ClientStore;
let send: (...events: StreamEvent[]) => void;
let gateway: ReturnType<typeof testGateway>;

beforeEach(async () => {
  const stream = testStream();
  gateway = testGateway({
    'GET /api/clients': () => ({
      clients: [client('codex'), client('open-webui', { is_recognized: false })],
      activity: [activity('codex')],
    }),
    'GET /api/clients/codex': () => ({ client: client('codex') }),
  });
  store = new ClientStore(stream.events);
  send = (...events) => stream.receive({ type: 'events', events });
  stream.live(['clients']);
  await store.load();
});

afterEach(() => gateway.restore());

function event(change: ClientActivity): StreamEvent {
  return { topic: 'clients', event: change };
}

it('has the activity of each client, and of programs that are not recognized', () => {
  const [codex, webui] = store.list;
  if (!codex || !webui) throw new Error('no clients');
  expect(store.activityOf(codex)?.requests).toBe(1);
  expect(store.activityOf(webui)).toBeUndefined();
  send(event(activity('codex', { requests: 2 })), event(activity('other', { requests: 5 })));
  expect(store.activityOf(codex)?.requests).toBe(2);
  expect(store.activityOf(webui)?.requests).toBe(5);
});

it('asks for a configuration, and never throws', async () => {
  const found = await store.setup('codex', { model: 'coder' });
  expect(found.ok && found.value.client.id).toBe('codex');
  const missing = await store.setup('emacs', {});
  expect(missing.ok).toBe(false);
});

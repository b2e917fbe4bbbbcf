import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LiveRequest, StreamEvent } from '$lib/api';
import { rejection, testGateway, testStream } from '$lib/events/testing';
import { LiveRequests } from './live-requests.svelte';
import { liveRequest } from './testing';

const SERVER = 's';

let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let requests: LiveRequests;
let cancelled: () => unknown;

const listed = (server: string, list: LiveRequest[]): StreamEvent => ({
  topic: 'requests',
  event: { server, requests: list },
});
const send = (...events: StreamEvent[]): void => stream.receive({ type: 'events', events });
const ids = (): string[] => requests.list.map(({ id }) => id);

beforeEach(async () => {
  stream = testStream();
  cancelled = () => new Response(null, { status: 204 });
  const snapshot = { server: SERVER, requests: [liveRequest({ id: 'a' }), liveRequest({ id: 'b' })] };
  gateway = testGateway({
    [`GET /api/servers/${SERVER}/requests`]: () => snapshot,
    [`POST /api/servers/${SERVER}/requests/a/cancel`]: () => cancelled(),
  });
  requests = new LiveRequests(SERVER, stream.events);
  const loaded = requests.load();
  stream.live(['requests']);
  await loaded;
});

afterEach(() => gateway.restore());

it('are those of the server, as the gateway lists them', () => {
  expect(ids()).toEqual(['a', 'b']);
  send(listed('other', []), listed(SERVER, [liveRequest({ id: 'b', completion_tokens: 9 }), liveRequest({ id: 'c' })]));
  expect(ids()).toEqual(['b', 'c']);
  expect(requests.list[0]?.completion_tokens).toBe(9);
});

it('are left out at once when they are cancelled, also while the gateway still lists them', async () => {
  const result = requests.cancel('a');
  expect(ids()).toEqual(['b']);
  send(listed(SERVER, [liveRequest({ id: 'a' }), liveRequest({ id: 'b' })]));
  expect(ids()).toEqual(['b']);
  expect(await result).toEqual({ ok: true, value: null });
  send(listed(SERVER, [liveRequest({ id: 'b' })]));
  expect(ids()).toEqual(['b']);
});

it('come back if the gateway does not cancel them', async () => {
  cancelled = () => rejection(503, 'shutting_down');
  const result = await requests.cancel('a');
  expect(result.ok).toBe(false);
  expect(ids()).toEqual(['a', 'b']);
});

it('are live until they are closed', () => {
  requests.close();
  send(listed(SERVER, []));
  expect(ids()).toEqual(['a', 'b']);
});

import { afterEach, beforeEach, expect, it } from 'vitest';

import type { Chat, StreamEvent } from '$lib/api';
import { rejection, server, testGateway, testStream } from '$lib/events/testing';
import { servers } from '$lib/servers/store.svelte';

import { ChatList } from './list.svelte';
import { chat } from './testing';

let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let routes: Record<string, (body: unknown) => unknown>;
let pages: { chats: { chat: Chat }[]; next: string | null; tags: string[] }[];
let list: ChatList;

const changed = (entry: Chat): StreamEvent => ({ topic: 'chats', event: { type: 'changed', chat: entry } });
const send = (...events: StreamEvent[]): void => stream.receive({ type: 'events', events });
const ids = (): string[] => list.list.map((entry) => entry.chat.id);
const page = (...names: string[]) => ({ chats: names.map((id) => ({ chat: chat(id) })), next: null, tags: [] });

beforeEach(async () => {
  stream = testStream();
  pages = [{ ...page('b', 'a'), next: 'a' }];
  routes = { 'GET /api/chats': () => pages.shift() ?? page() };
  gateway = testGateway(routes);
  list = new ChatList(stream.events);
  const loaded = list.load();
  stream.live(['chats']);
  await loaded;
});

afterEach(() => {
  servers.items.clear();
  gateway.restore();
});

it('changes entries in their place, and holds new ones back', async () => {
  send(changed(chat('a', { title: 'New title', updated_at_ms: 9 })), changed(chat('c')));
  expect([ids(), list.find('a')?.title, list.fresh]).toEqual([['b', 'a'], 'New title', 1]);
  pages = [page('c', 'a', 'b')];
  await list.showFresh();
  expect([ids(), list.fresh]).toEqual([['c', 'a', 'b'], 0]);
});

it('shows a chat of this tab first at once', async () => {
  routes['POST /api/chats'] = () => chat('n');
  await list.create({});
  send(changed(chat('n')));
  expect([ids(), list.fresh]).toEqual([['n', 'b', 'a'], 0]);
});

it('leaves temporary chats out', () => {
  list.add(chat('t', { is_temporary: true }));
  expect(ids()).toEqual(['b', 'a']);
});

it('reads older ones', async () => {
  pages = [page('older')];
  await list.more();
  expect([ids(), list.hasMore]).toEqual([['b', 'a', 'older'], false]);
});

it('reads the list of a filter, and holds back only what belongs to it', async () => {
  pages = [page('m')];
  await list.setFilter({ tag: 'work' });
  send(changed(chat('x')), changed(chat('y', { tags: ['work'] })));
  expect([ids(), list.fresh]).toEqual([['m'], 1]);
});

it('holds back chats with the model and the profiles of a server', async () => {
  servers.items.set('s', server('s', { name: 'owner/m', profiles: ['Coder'] }));
  pages = [page('m')];
  await list.setFilter({ server: 's' });
  send(changed(chat('x', { model: 'other' })), changed(chat('y', { model: null })));
  expect(list.fresh).toBe(0);
  send(changed(chat('v', { model: 'owner/m' })), changed(chat('w', { model: 'Coder' })));
  expect([ids(), list.fresh]).toEqual([['m'], 2]);
});

it('removes at once, brings back what the gateway keeps, and undoes', async () => {
  routes['DELETE /api/chats/a'] = () => rejection(503, 'shutting_down');
  await list.remove('a');
  expect(ids()).toEqual(['b', 'a']);
  routes['DELETE /api/chats/a'] = () => new Response(null, { status: 204 });
  await list.remove('a');
  expect(ids()).toEqual(['b']);
  routes['POST /api/chats/a/restore'] = () => chat('a');
  await list.restore('a');
  expect(ids()).toEqual(['a', 'b']);
  send({ topic: 'chats', event: { type: 'removed', id: 'b' } });
  expect(ids()).toEqual(['a']);
});

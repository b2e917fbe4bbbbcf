import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { rejection, testGateway, testStream } from '$lib/events/testing';
import { tell } from '$lib/servers/actions';

import { continueResponse, editMessage, regenerate } from './actions';
import { OpenChat } from './store.svelte';
import { question, response, run } from './testing';

vi.mock('$app/navigation', () => ({ goto: vi.fn() }));
vi.mock('$app/state', () => ({ page: { url: new URL('http://localhost/chat/c') } }));
vi.mock('$lib/ui', () => ({ toasts: { add: vi.fn() } }));
vi.mock('$lib/servers/actions', () => ({ tell: vi.fn() }));

const ROUTES = {
  regenerate: 'POST /api/chats/c/messages/2/regenerate',
  continue: 'POST /api/chats/c/messages/2/continue',
  edit: 'PATCH /api/chats/c/messages/1',
};
const started = { run: run('3'), messages: [response('3', '', { state: 'running' })], last_event_id: '1' };

let gateway: ReturnType<typeof testGateway>;
let routes: Record<string, (body: unknown) => unknown>;
let chat: OpenChat;

beforeEach(() => {
  routes = Object.fromEntries(Object.values(ROUTES).map((route) => [route, () => started]));
  gateway = testGateway(routes);
  chat = new OpenChat('c', testStream().events);
});

afterEach(() => gateway.restore());

it('what is pressed twice is done once', async () => {
  await Promise.all([regenerate(chat, '2'), regenerate(chat, '2')]);
  await Promise.all([continueResponse(chat, '2'), continueResponse(chat, '2'), regenerate(chat, '2')]);
  const content = [{ type: 'text' as const, text: 'Again' }];
  const asked = question('1', 'Hi');
  const edits = await Promise.all([editMessage(chat, asked, content), editMessage(chat, asked, content)]);
  expect(edits).toEqual([true, false]);
  expect(gateway.requests).toEqual([ROUTES.regenerate, ROUTES.continue, ROUTES.edit]);
  // It can be done again afterwards.
  await regenerate(chat, '2');
  expect(gateway.requests).toHaveLength(4);
});

it('an edit that is rejected says why, and can be tried again', async () => {
  routes[ROUTES.edit] = () => rejection(409, 'busy');
  const asked = question('1', 'Hi');
  expect(await editMessage(chat, asked, [{ type: 'text', text: 'Again' }])).toBe(false);
  expect(tell).toHaveBeenCalledWith('The message was not sent', expect.objectContaining({ code: 'busy' }));
  expect(chat.isPending('1')).toBe(false);
});

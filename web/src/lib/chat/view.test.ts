import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import type { Chat } from '$lib/api';
import { rejection, testGateway } from '$lib/events/testing';

import { Attachments } from './attach.svelte';
import { Draft, reasonOf } from './composer.svelte';
import { readDraft } from './drafts';
import { chats } from './list.svelte';
import { chat, question, response, run } from './testing';
import { sendKey } from './send-key.svelte';
import { remember, type StoredFile } from './stored-files';
import { ChatView } from './view.svelte';

let gateway: ReturnType<typeof testGateway>;
let routes: Record<string, (body: unknown) => unknown>;
let view: ChatView;

const stored = new Map<string, string>();
const file: StoredFile = { hash: 'h', name: 'a.rs', kind: 'text', sizeBytes: 7 };
const started = {
  run: run('2', { chat: 'c' }),
  messages: [question('1', 'Hi'), response('2', '', { parent_id: '1', state: 'running', run: 'run-2' })],
  last_event_id: '1',
};
const detail = {
  chat: chat('c', { leaf_id: '2' }),
  messages: started.messages,
  runs: [started.run],
  last_event_id: '1',
};

beforeEach(() => {
  stored.clear();
  remember(file);
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
  routes = { 'GET /api/chats/c': () => detail };
  gateway = testGateway(routes);
  view = new ChatView();
});

afterEach(() => {
  sendKey.withMod = false;
  view.close();
  chats.items.clear();
  gateway.restore();
});

it('a new chat creates nothing until its first message, which also keeps what was chosen', async () => {
  view.show(null, 'tiny');
  await view.change({ persona_id: 'p', settings: { temperature: 0 } });
  view.setTemporary(true);
  expect(gateway.requests).toEqual([]);

  const bodies: unknown[] = [];
  routes['POST /api/chats'] = (body) => {
    bodies.push(body);
    return chat('c', { is_temporary: true });
  };
  routes['POST /api/chats/c/messages'] = () => started;
  const created: Chat[] = [];
  expect(await view.send([{ type: 'text', text: 'Hi' }], (each) => created.push(each))).toBeNull();
  expect(created.map(({ id }) => id)).toEqual(['c']);
  expect(bodies).toMatchObject([
    { model: 'tiny', persona_id: 'p', settings: { temperature: 0 }, is_temporary: true, protocol: 'openai' },
  ]);
  expect(bodies[0]).not.toHaveProperty('title');
  await vi.waitFor(() => expect(view.open?.path.map(({ id }) => id)).toEqual(['1', '2']));
  // Its address is opened next: it is the same chat.
  const { open } = view;
  view.show('c', null);
  expect(view.open).toBe(open);
});

it('a chat that is not created says why, and the message stays', async () => {
  view.show(null, 'tiny');
  routes['POST /api/chats'] = () => rejection(409, 'busy');
  const problem = await view.send([{ type: 'text', text: 'Hi' }], () => undefined);
  expect(problem?.code).toBe('busy');
  expect([view.open, view.problem?.code, view.isCreating]).toEqual([null, 'busy', false]);
});

it('a new chat is with the model that was used last, if the address has none', async () => {
  view.show(null, null);
  await view.change({ model: 'other' });
  expect(view.config.model).toBe('other');
  view.show(null, 'tiny');
  expect(view.config.model).toBe('tiny');
  expect(stored.get('mlxm.chat-model')).toBe('other');
});

it('each chat has its own draft', () => {
  const draft = new Draft();
  draft.open('new', false);
  draft.text = 'For a new chat';
  draft.open('c', false);
  expect([draft.text, readDraft('new').text]).toEqual(['', 'For a new chat']);
  draft.text = 'For c';
  draft.sent(draft.written, 'c');
  draft.open('new', false);
  expect([draft.text, readDraft('c').text]).toEqual(['For a new chat', '']);
});

it('files of a draft are there again in their chat, and so are those of a message that was not sent', () => {
  const draft = new Draft();
  draft.open('new', false);
  draft.attachments.restore([file]);
  draft.text = 'Explain';
  draft.open('c', false);
  expect(draft.isEmpty).toBe(true);
  draft.open('new', false);
  const { written } = draft;
  expect(written.parts).toEqual([
    { type: 'attachment', hash: 'h', name: 'a.rs' },
    { type: 'text', text: 'Explain' },
  ]);
  draft.sent(written, 'c');
  expect(draft.isEmpty).toBe(true);
  draft.text = 'More';
  draft.back(written.parts);
  expect([draft.text, draft.attachments.stored]).toEqual(['Explain\nMore', [file]]);
});

it('what is written while a chat is created is the beginning of its next message', () => {
  const draft = new Draft();
  draft.open('new', false);
  draft.text = 'First';
  const { written } = draft;
  draft.text = 'First Second';
  draft.sent(written, 'c');
  expect([draft.text, readDraft('new').text, readDraft('c').text]).toEqual([' Second', '', ' Second']);
});

it('nothing of a temporary chat is stored in the browser', () => {
  const draft = new Draft();
  draft.open('new', false);
  draft.text = 'Secret';
  draft.keep();
  draft.open('new', true);
  expect(stored.has('mlxm.drafts')).toBe(false);
  draft.sent(draft.written, 't');
  draft.text = 'Also secret';
  draft.open('c', false);
  expect(stored.has('mlxm.drafts')).toBe(false);
  draft.open('t', true);
  expect(draft.text).toBe('Also secret');
  draft.text = '';
  draft.keep();
});

it('a chat of the list is known before it is read', () => {
  chats.items.set('c', { chat: chat('c', { title: 'Foxes', model: 'tiny' }) });
  view.show('c', null);
  expect([view.isUnknown, view.config.title, view.config.model]).toEqual([false, 'Foxes', 'tiny']);
  view.show('d', null);
  expect(view.isUnknown).toBe(true);
});

it('a message is sent as well when another chat is opened while its own is created', async () => {
  view.show(null, 'tiny');
  let create = (_chat: unknown): void => undefined;
  const isAsked = new Promise<void>((asked) => {
    routes['POST /api/chats'] = () => {
      asked();
      return new Promise((resolve) => (create = resolve));
    };
  });
  const bodies: unknown[] = [];
  routes['POST /api/chats/n/messages'] = (body) => {
    bodies.push(body);
    return started;
  };
  const draft = new Draft();
  draft.open('new', false);
  draft.text = 'Hi';
  const { written } = draft;
  const shown: boolean[] = [];
  const sent = view.send(written.parts, (_chat, isShown) => {
    shown.push(isShown);
    draft.sentFrom(written, 'new');
  });
  await isAsked;
  expect(view.isCreating).toBe(true);
  view.show('c', null);
  draft.open('c', false);
  draft.text = 'For c';
  expect(view.isCreating).toBe(false);
  create(chat('n'));
  expect(await sent).toBeNull();
  await vi.waitFor(() => expect(bodies).toMatchObject([{ content: [{ type: 'text', text: 'Hi' }] }]));
  expect([shown, view.open?.id, draft.text, readDraft('new').text]).toEqual([[false], 'c', 'For c', '']);
});

it('says why a message cannot be sent', () => {
  const draft = new Draft();
  const of = (fields: object): string | undefined => reasonOf(fields as ChatView, draft);
  const ready = { isUnknown: false, target: { reason: null }, open: null };
  expect(of({ ...ready, isUnknown: true })).toBe('The chat is being read.');
  expect(of({ ...ready, target: null })).toBe('Choose a model first.');
  expect(of({ ...ready, target: { reason: 'It is gone.' } })).toBe('It is gone.');
  expect(of({ ...ready, open: { outbox: { items: [{}] } } })).toBe('The message before is not sent yet.');
  expect(of(ready)).toBe('The message is empty.');
  draft.text = 'Hi';
  expect(of(ready)).toBeUndefined();
  draft.attachments.restore([{ ...file, hash: 'i', kind: 'image' }]);
  expect(of(ready)).toBe('No model can read images yet. Remove the image to send.');
});

it('files of a temporary chat are stored in memory only', async () => {
  vi.stubGlobal(
    'FileReader',
    class {
      result = '';
      onload = (): void => undefined;
      readAsDataURL(): void {
        this.result = 'data:text/plain;base64,YQ==';
        this.onload();
      }
    },
  );
  const bodies: unknown[] = [];
  routes['POST /api/attachments'] = (body) => {
    bodies.push(body);
    return { hash: 'h', size_bytes: 1 };
  };
  const attachments = new Attachments();
  for (const isTemporary of [true, false]) {
    attachments.isTemporary = isTemporary;
    await attachments.add([new File(['a'], 'a.txt', { type: 'text/plain' })]);
  }
  expect(bodies).toEqual([
    { name: 'a.txt', data: 'YQ==', is_temporary: true },
    { name: 'a.txt', data: 'YQ==', is_temporary: false },
  ]);
});

it('Enter sends, unless it is set otherwise', () => {
  const key = (fields: Partial<KeyboardEvent>): KeyboardEvent =>
    ({ key: 'Enter', shiftKey: false, metaKey: false, ctrlKey: false, isComposing: false, ...fields }) as KeyboardEvent;
  expect([sendKey.matches(key({})), sendKey.matches(key({ shiftKey: true }))]).toEqual([true, false]);
  expect(sendKey.matches(key({ isComposing: true }))).toBe(false);
  sendKey.withMod = true;
  expect([sendKey.matches(key({})), sendKey.matches(key({ ctrlKey: true }))]).toEqual([false, true]);
});

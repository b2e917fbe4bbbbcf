import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ChatDetail, ChatEvent, Message, RunEvent, RunSnapshot, StreamEvent } from '$lib/api';
import { rejection, reset, testGateway, testStream } from '$lib/events/testing';

import { OpenChat } from './store.svelte';
import { chat, question, recorded, response, run, type RunEventBody } from './testing';

type Change = ChatEvent extends infer Event ? (Event extends unknown ? Omit<Event, 'id'> : never) : never;

let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let routes: Record<string, (body: unknown) => unknown>;
let detail: ChatDetail;
let store: OpenChat;

const event = (change: Change): StreamEvent => ({ topic: 'chat', event: { ...change, id: 'c' } as ChatEvent });
const send = (...changes: Change[]): void => stream.receive({ type: 'events', events: changes.map(event) });
const ran = (...events: RunEvent[]): void => send(...events.map((each): Change => ({ type: 'run', event: each })));
const events = (...bodies: RunEventBody[]): RunEvent[] => recorded('run-2', bodies);
const text = (part: string): RunEventBody => ({ type: 'text', text: part });
const ids = (): string[] => store.path.map(({ id }) => id);

const asked = question('1', 'Hi');
const empty = response('2', '', { parent_id: '1', state: 'running', run: 'run-2' });
const done: Message = {
  ...empty,
  content: [{ type: 'text', text: 'Hello' }],
  state: 'complete',
  finish_reason: 'stop',
};

beforeEach(async () => {
  stream = testStream();
  detail = {
    chat: chat('c', { leaf_id: '2' }),
    messages: [asked, { ...empty, content: [{ type: 'text', text: 'He' }] }],
    runs: [run('2', { seq: 2, state: 'generating' })],
    last_event_id: '7',
  };
  routes = { 'GET /api/chats/c': () => detail };
  gateway = testGateway(routes);
  store = new OpenChat('c', stream.events);
  const loaded = store.load();
  stream.live(['chat:c']);
  await loaded;
});

afterEach(() => {
  store.close();
  gateway.restore();
});

describe('a run in progress', () => {
  it('goes on where the snapshot ends, without gaps or duplicates', () => {
    const all = events(text('H'), text('e'), text('l'), text('lo'), { type: 'finished', reason: 'stop' });
    expect(store.live('2')?.text).toBe('He');
    ran(...all.slice(0, 4));
    expect(store.live('2')?.text).toBe('Hello');
    ran(...all);
    send({ type: 'messages', messages: [done] });
    expect(store.live('2')).toBeUndefined();
    expect(store.path.at(-1)).toEqual(done);
    expect(store.current).toBeUndefined();
  });

  it('reads it again if events are missing', async () => {
    const snapshot: RunSnapshot = {
      run: run('2', { seq: 4, state: 'generating' }),
      message: { ...empty, content: [{ type: 'text', text: 'Hell' }] },
      last_event_id: '9',
    };
    routes['GET /api/runs/run-2'] = () => snapshot;
    const [, , , , fifth] = events(text('H'), text('e'), text('l'), text('l'), text('o'));
    if (fifth !== undefined) ran(fifth);
    await vi.waitFor(() => expect(store.live('2')?.text).toBe('Hello'));
    expect(gateway.requests.filter((route) => route === 'GET /api/runs/run-2')).toHaveLength(1);
  });

  it('is not begun again by events that the snapshot has already', async () => {
    detail = { ...detail, messages: [asked, done], runs: [] };
    stream.receive({ type: 'events', events: [reset(['chat:c'])] });
    await vi.waitFor(() => expect(store.path.at(-1)?.state).toBe('complete'));
    send({ type: 'started', run: run('2') });
    ran(...events(text('Hel'), text('lo')));
    expect(store.live('2')).toBeUndefined();
    expect(store.path.at(-1)).toEqual(done);
  });

  it('has the results of the tools that it calls', () => {
    const call: RunEventBody = { type: 'tool_call', index: 0, id: 'a', name: 'read_file', arguments: '{}' };
    const content = [{ type: 'text' as const, text: 'fn retry()' }];
    ran(...events(text('H'), text('e'), call, { type: 'tool_result', id: 'a', content, duration_ms: 14 }));
    expect(store.live('2')?.toolCalls).toEqual([{ id: 'a', name: 'read_file', arguments: '{}' }]);
    expect(store.live('2')?.results.get('a')).toEqual({ content, durationMs: 14 });
  });

  it('is that of the open branch', () => {
    expect(store.current).toBe('run-2');
    send({ type: 'changed', chat: chat('c', { leaf_id: '1' }) });
    // The path ends at the leaf, and the run goes on without it.
    expect([ids(), store.current, store.live('2')?.text]).toEqual([['1'], undefined, 'He']);
  });
});

describe('sending', () => {
  const started = {
    run: run('4'),
    messages: [
      question('3', 'More', { parent_id: '2' }),
      response('4', '', { parent_id: '3', state: 'running', run: 'run-4' }),
    ],
    last_event_id: '9',
  };

  it('shows the message at once, and the response in its place', async () => {
    const bodies: unknown[] = [];
    routes['POST /api/chats/c/messages'] = (body) => {
      bodies.push(body);
      return started;
    };
    const result = store.send([{ type: 'text', text: 'More' }]);
    expect(store.outbox.items).toMatchObject([{ content: [{ text: 'More' }], problem: null }]);
    expect((await result).ok).toBe(true);
    expect(store.outbox.items).toEqual([]);
    expect(ids()).toEqual(['1', '2', '3', '4']);
    expect(bodies).toMatchObject([{ content: [{ type: 'text', text: 'More' }], options: {} }]);
    expect((bodies[0] as { idempotency_key: string }).idempotency_key).toMatch(/^[0-9a-f]{32}$/);
  });

  it('goes on after the branch that is shown, whatever another device opens meanwhile', async () => {
    const bodies: unknown[] = [];
    const received = (body: unknown) => {
      bodies.push(body);
      return started;
    };
    routes['POST /api/chats/c/messages'] = received;
    routes['POST /api/chats/d/messages'] = received;
    await store.send([{ type: 'text', text: 'More' }]);
    send({ type: 'changed', chat: chat('c', { leaf_id: '1' }) });
    await store.send([{ type: 'text', text: 'Again' }]);
    // Before the messages are there, the gateway knows the branch.
    const unread = new OpenChat('d', stream.events);
    await unread.send([{ type: 'text', text: 'First' }]);
    unread.close();
    expect(bodies).toMatchObject([{ parent_id: '2' }, { parent_id: '1' }, {}]);
    expect(bodies[2]).not.toHaveProperty('parent_id');
  });

  it('is shown as rejected, and can be sent again', async () => {
    routes['POST /api/chats/c/messages'] = () => rejection(400, 'no_vision');
    await store.send([{ type: 'text', text: 'More' }]);
    const [message] = store.outbox.items;
    expect(message).toMatchObject({ isRejected: true, problem: { code: 'no_vision' } });
    routes['POST /api/chats/c/messages'] = () => started;
    await store.resend(message?.key ?? '');
    expect([store.outbox.items, ids().at(-1)]).toEqual([[], '4']);
  });

  it('keeps what events said before the response arrived', async () => {
    routes['POST /api/chats/c/messages'] = () => {
      send({ type: 'messages', messages: started.messages }, { type: 'started', run: started.run });
      ran(...recorded('run-4', [text('Yes')]));
      return started;
    };
    await store.send([{ type: 'text', text: 'More' }]);
    expect(store.live('4')?.text).toBe('Yes');
  });

  it('keeps a response that is complete before the response to the request arrives', async () => {
    const complete = response('4', 'Yes', { parent_id: '3', state: 'complete', run: 'run-4' });
    routes['POST /api/chats/c/messages'] = () => {
      send({ type: 'messages', messages: started.messages }, { type: 'started', run: started.run });
      ran(...recorded('run-4', [text('Yes'), { type: 'finished', reason: 'stop' }]));
      send({ type: 'messages', messages: [complete] });
      return started;
    };
    await store.send([{ type: 'text', text: 'More' }]);
    expect(store.live('4')).toBeUndefined();
    expect(store.path.at(-1)).toEqual(complete);
  });
});

describe('branches', () => {
  const other = response('5', 'Other', { parent_id: '1' });

  it('are opened at once, and taken back if the gateway rejects it', async () => {
    send({ type: 'messages', messages: [done, other] });
    routes['POST /api/chats/c/leaf'] = () => chat('c', { leaf_id: '5' });
    const opened = store.open('5');
    expect(ids()).toEqual(['1', '5']);
    await opened;
    routes['POST /api/chats/c/leaf'] = () => rejection(404, 'message_not_found');
    await store.open('2');
    expect(ids()).toEqual(['1', '5']);
  });

  it('an older response changes nothing that came since', async () => {
    send({ type: 'messages', messages: [done, other] });
    const respond: ((body: unknown) => void)[] = [];
    const later = () => new Promise((resolve) => respond.push(resolve));
    const received = (count: number) => vi.waitFor(() => expect(respond).toHaveLength(count));
    routes['POST /api/chats/c/leaf'] = later;
    const first = store.open('5');
    await received(1);
    const second = store.open('2');
    await received(2);
    respond[1]?.(chat('c', { leaf_id: '2' }));
    await second;
    respond[0]?.(chat('c', { leaf_id: '5' }));
    await first;
    expect(ids()).toEqual(['1', '2']);

    routes['PATCH /api/chats/c'] = later;
    const changed = store.change({ title: 'Mine' });
    await received(3);
    send({ type: 'changed', chat: chat('c', { leaf_id: '2', title: 'Theirs' }) });
    respond[2]?.(chat('c', { leaf_id: '2', title: 'Mine' }));
    await changed;
    expect(store.chat?.title).toBe('Theirs');
  });

  it('an edit is a sibling, with or without a run', async () => {
    send({ type: 'messages', messages: [done] });
    routes['PATCH /api/chats/c/messages/2'] = () => other;
    await store.edit('2', [{ type: 'text', text: 'Other' }]);
    expect(store.tree.fork('5')).toMatchObject({ index: 1, count: 2 });
    expect(ids()).toEqual(['1', '5']);
  });

  it('a deleted message takes what follows with it, and comes back', async () => {
    send({ type: 'messages', messages: [done] });
    routes['DELETE /api/chats/c/messages/1'] = () => ({ messages: ['1', '2'], leaf_id: null });
    const removed = await store.remove('1');
    expect([removed, ids()]).toEqual([{ ok: true, value: ['1', '2'] }, []]);
    routes['POST /api/chats/c/messages/restore'] = () => ({ messages: [asked, done] });
    routes['POST /api/chats/c/leaf'] = () => chat('c', { leaf_id: '2' });
    await store.restore(['1', '2']);
    expect(ids()).toEqual(['1', '2']);
  });
});

it('another device that deletes the chat is noticed', () => {
  send({ type: 'removed', messages: ['2'] });
  expect(ids()).toEqual(['1']);
  send({ type: 'deleted' });
  expect(store.isDeleted).toBe(true);
});

it('a deletion that is undone is over', () => {
  send({ type: 'deleted' });
  expect(store.isDeleted).toBe(true);
  send({ type: 'changed', chat: chat('c', { leaf_id: '2' }) });
  expect(store.isDeleted).toBe(false);
});

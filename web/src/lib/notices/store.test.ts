import { beforeEach, expect, it } from 'vitest';

import type { StreamEvent } from '$lib/api';
import { download, notice } from '$lib/events/testing';

import { NoticeStore } from './store.svelte';

let store: NoticeStore;

beforeEach(() => {
  store = new NoticeStore();
});

function exited(id: string, cause: string): StreamEvent {
  return { topic: 'servers', event: { type: 'exited', id, cause, message: 'exited with signal 11', log_tail: [] } };
}

function ended(state: 'done' | 'failed' | 'paused', finished_at_ms = 5): StreamEvent {
  const entry = download('a', { repo_id: 'owner/a b', state, finished_at_ms, error: 'Ask for access.' });
  return { topic: 'downloads', event: { type: 'changed', download: entry } };
}

it('tells what happened, latest first', () => {
  for (const event of [notice('Disk full'), exited('a', 'crashed'), ended('done')]) store.apply(event);
  expect(store.list.map(({ level, message, href }) => [level, message, href])).toEqual([
    ['info', 'owner/a b is downloaded.', '/models/owner/a%20b'],
    ['error', 'A model: exited with signal 11', '/servers'],
    ['info', 'Disk full', null],
  ]);
});

it('leaves out what a user asked for, and what it has told', () => {
  for (const event of [exited('a', 'requested'), ended('paused'), ended('failed'), ended('failed')]) store.apply(event);
  expect(store.list.map(({ message }) => message)).toEqual(['owner/a b was not downloaded. Ask for access.']);
  store.apply(ended('failed', 9));
  expect(store.list).toHaveLength(2);
});

it('counts what is not read yet, and keeps a limited number', () => {
  for (let index = 0; index < 150; index += 1) store.apply(notice(String(index)));
  expect([store.list.length, store.unread, store.list[0]?.message]).toEqual([100, 100, '149']);
  store.markRead();
  expect(store.unread).toBe(0);
  const first = store.list[0];
  if (first !== undefined) store.dismiss(first.id);
  expect(store.list).toHaveLength(99);
});

import { expect, it } from 'vitest';

import { grouped } from './groups';
import { chat } from './testing';

const now = new Date(2026, 10, 29, 12).getTime();
const at = (id: string, ...date: [number, number, number, number]) => ({
  chat: chat(id, { updated_at_ms: new Date(...date).getTime() }),
});

it('has pinned chats, and the others by day', () => {
  const entries = [
    { chat: chat('p', { is_pinned: true }) },
    at('a', 2026, 10, 29, 0),
    at('b', 2026, 10, 28, 23),
    at('c', 2026, 10, 28, 0),
    at('d', 2026, 9, 1, 1),
    at('e', 2026, 9, 30, 1),
  ];
  const groups = grouped(entries, now, false).map(({ title, entries: members }) => [
    title,
    members.map((entry) => entry.chat.id).join(''),
  ]);
  expect(groups.slice(0, 3)).toEqual([
    ['Pinned', 'p'],
    ['Today', 'a'],
    ['Yesterday', 'bc'],
  ]);
  expect(groups.at(-1)?.[1]).toBe('de');
});

it('keeps the order of a search', () => {
  expect(grouped([at('old', 2020, 1, 1, 1), at('new', 2026, 10, 29, 1)], now, true)).toMatchObject([
    { title: 'Found', entries: [{ chat: { id: 'old' } }, { chat: { id: 'new' } }] },
  ]);
  expect(grouped([], now, true)).toEqual([]);
});

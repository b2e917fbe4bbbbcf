import { beforeEach, expect, it, vi } from 'vitest';

import { NEW_CHAT, NOTHING, readDraft, withMessage, withoutMessage, writeDraft } from './drafts';
import { remember, type StoredFile } from './stored-files';

const stored = new Map<string, string>();
const file: StoredFile = { hash: 'h', name: 'a.rs', kind: 'text', sizeBytes: 7 };
const written = (text: string) => ({ text, files: [] });
const textOf = (chat: string): string => readDraft(chat).text;

beforeEach(() => {
  stored.clear();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
});

it('keeps a draft for each chat', () => {
  writeDraft('a', written('one'));
  writeDraft(NEW_CHAT, written('two'));
  writeDraft('a', { text: 'three', files: [file] });
  expect([readDraft('a'), readDraft(NEW_CHAT), readDraft('b')]).toEqual([
    { text: 'three', files: [file] },
    written('two'),
    NOTHING,
  ]);
});

it('removes an empty one, and keeps those that were used last', () => {
  for (let chat = 0; chat < 40; chat += 1) writeDraft(String(chat), written(`draft ${chat}`));
  expect([textOf('0'), textOf('39')]).toEqual(['', 'draft 39']);
  for (let chat = 0; chat < 40; chat += 1) writeDraft(String(chat), NOTHING);
  expect(stored.size).toBe(0);
});

it('ignores what another program stored', () => {
  stored.set('mlxm.drafts', '{"a": 1}');
  expect(textOf('a')).toBe('');
  stored.set('mlxm.drafts', '[["a", 1], ["b", "text"], null');
  expect(textOf('b')).toBe('');
  stored.set('mlxm.drafts', '[["a", "text", [{"hash": 1}]], ["b", "text"]]');
  expect([readDraft('a'), readDraft('b')]).toEqual([NOTHING, written('text')]);
});

it('stores nothing of a temporary chat, and has its draft until the page is closed', () => {
  writeDraft('t', written('typed before it was known'));
  writeDraft('t', written('secret'), true);
  expect([stored.size, textOf('t')]).toEqual([0, 'secret']);
  writeDraft('t', NOTHING, true);
  expect(textOf('t')).toBe('');
  // The next new chat is another one.
  writeDraft(NEW_CHAT, written('secret'), true);
  expect([stored.size, textOf(NEW_CHAT)]).toEqual([0, '']);
});

it('begins with a message that was not sent, and ends with what was written since', () => {
  remember(file);
  const parts = [
    { type: 'attachment' as const, hash: 'h', name: 'a.rs' },
    { type: 'text' as const, text: 'Hi' },
  ];
  const draft = withMessage(written('More'), parts);
  expect(draft).toEqual({ text: 'Hi\nMore', files: [file] });
  expect(withoutMessage(draft, 'Hi', parts)).toEqual(written('\nMore'));
  expect(withoutMessage(written('Other'), 'Hi', parts)).toEqual(written('Other'));
});

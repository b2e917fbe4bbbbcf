// What was written and not sent, per chat, in this browser: a reload, a crash or a lost gateway keeps it.
import type { NewPart } from '$lib/api';
import { read, write } from '$lib/shell/storage';

import { textOf } from './run';
import { filesOf, isStoredFile, remember, type StoredFile } from './stored-files';

const KEY = 'drafts';
/** Drafts of chats that were used last. */
const MOST = 30;

/** The key of a chat that does not exist yet. */
export const NEW_CHAT = 'new';

export interface DraftContent {
  text: string;
  files: readonly StoredFile[];
}

/** As it is stored. Earlier versions stored no files. */
type Entry = readonly [chat: string, text: string, files?: readonly StoredFile[]];

export const NOTHING: DraftContent = { text: '', files: [] };

/** Drafts of temporary chats: they leave nothing in the browser, and are lost with the page. */
const ofTemporary = new Map<string, DraftContent>();

/** The draft of a chat. */
export function readDraft(chat: string): DraftContent {
  const temporary = ofTemporary.get(chat);
  if (temporary !== undefined) return temporary;
  const entry = all().find(([id]) => id === chat);
  if (entry === undefined) return NOTHING;
  const [, text, files = []] = entry;
  for (const file of files) remember(file);
  return { text, files };
}

/** Keeps a draft; an empty one is removed. */
export function writeDraft(chat: string, draft: DraftContent, isTemporary = false): void {
  const { text, files } = draft;
  const isEmpty = text === '' && files.length === 0;
  const others = all().filter(([id]) => id !== chat);
  const entry: Entry = files.length === 0 ? [chat, text] : [chat, text, files];
  const drafts = isEmpty || isTemporary ? others : [...others, entry];
  write(KEY, drafts.length === 0 ? null : JSON.stringify(drafts.slice(-MOST)));
  // The next new chat is another one.
  if (isEmpty || !isTemporary || chat === NEW_CHAT) ofTemporary.delete(chat);
  else ofTemporary.set(chat, draft);
}

/** A draft that begins with a message which was not sent. */
export function withMessage(draft: DraftContent, content: readonly NewPart[]): DraftContent {
  const text = [textOf(content), draft.text].filter((each) => each !== '').join('\n');
  return { text, files: [...filesOf(content), ...draft.files] };
}

/** What was written since a message was sent. `text`: as it was written, with the space around it. */
export function withoutMessage(draft: DraftContent, text: string, content: readonly NewPart[]): DraftContent {
  const sent = new Set(filesOf(content).map(({ hash }) => hash));
  return {
    text: draft.text.startsWith(text) ? draft.text.slice(text.length) : draft.text,
    files: draft.files.filter(({ hash }) => !sent.has(hash)),
  };
}

function all(): readonly Entry[] {
  try {
    const value: unknown = JSON.parse(read(KEY) ?? '[]');
    return Array.isArray(value) ? value.filter(isEntry) : [];
  } catch {
    return [];
  }
}

function isEntry(value: unknown): value is Entry {
  if (!Array.isArray(value) || typeof value[0] !== 'string' || typeof value[1] !== 'string') return false;
  const files: unknown = value[2];
  return files === undefined || (Array.isArray(files) && files.every(isStoredFile));
}

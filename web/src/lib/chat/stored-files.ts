// Files that the gateway has stored. A message that is sent names them by their hashes; drafts and editors show more. No Svelte inside.
import type { NewPart } from '$lib/api';

import type { FileKind } from './files';

export interface StoredFile {
  hash: string;
  name: string;
  kind: FileKind;
  sizeBytes: number;
}

/** Files that this page has attached or read from drafts, by their hashes. */
const known = new Map<string, StoredFile>();

export function remember(file: StoredFile): void {
  known.set(file.hash, file);
}

/** The files of a message that was to be sent. */
export function filesOf(content: readonly NewPart[]): StoredFile[] {
  return content.flatMap((part) => {
    if (part.type !== 'attachment') return [];
    const { hash, name } = part;
    const file: StoredFile = known.get(hash) ?? { hash, name: hash.slice(0, 8), kind: 'text', sizeBytes: 0 };
    return [{ ...file, name: name ?? file.name }];
  });
}

/** Whether a value of the browser's storage is one. */
export function isStoredFile(value: unknown): value is StoredFile {
  if (typeof value !== 'object' || value === null) return false;
  const { hash, name, kind, sizeBytes } = value as Record<string, unknown>;
  const hasKind = kind === 'text' || kind === 'image';
  return typeof hash === 'string' && typeof name === 'string' && hasKind && typeof sizeBytes === 'number';
}

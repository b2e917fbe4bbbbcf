/** Drafts of profiles in the browser's storage, so that a reload or another page loses nothing. */
import type { StoredDraft } from './form.svelte';

const PREFIX = 'mlxm.profile-draft.';

function key(id: string | null): string {
  return `${PREFIX}${id ?? 'new'}`;
}

function isRecordOf(value: unknown, type: 'string' | 'boolean'): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === type);
}

function isDraft(value: unknown): value is StoredDraft {
  if (typeof value !== 'object' || value === null) return false;
  const { texts, flags } = value as Record<string, unknown>;
  return isRecordOf(texts, 'string') && isRecordOf(flags, 'boolean');
}

/** The draft of a profile, or of a new one. */
export function readStored(storage: Storage, id: string | null): StoredDraft | null {
  try {
    const value: unknown = JSON.parse(storage.getItem(key(id)) ?? 'null');
    return isDraft(value) ? value : null;
  } catch {
    return null;
  }
}

/** Stores a draft, or removes it with null. */
export function writeStored(storage: Storage, id: string | null, draft: StoredDraft | null): void {
  try {
    if (draft === null) storage.removeItem(key(id));
    else storage.setItem(key(id), JSON.stringify(draft));
  } catch {
    // Full or forbidden: the draft lasts as long as the page.
  }
}

/** The message that is being written: its text, which outlives a reload unless the chat is temporary, and its files. */
import { untrack } from 'svelte';

import type { CountRequest, NewPart } from '$lib/api';

import { Attachments } from './attach.svelte';
import { IMAGES_UNREAD, NOT_STORED } from './attach-words';
import type { Lengths } from './context';
import { NOTHING, readDraft, withMessage, withoutMessage, writeDraft, type DraftContent } from './drafts';
import { charactersOf } from './parts';
import type { ChatView } from './view.svelte';

/** Storing takes longer than a key. */
const KEEP_MS = 300;

/** What was sent: its parts, and the text as it was written. */
export interface Written {
  text: string;
  parts: readonly NewPart[];
}

export class Draft {
  text = $state('');
  readonly attachments = new Attachments();
  #key: string | null = null;
  #isTemporary = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  readonly isEmpty = $derived(this.text.trim() === '' && this.attachments.files.length === 0);

  /** The draft of a chat. That of another one is kept for it. `isTemporary`: nothing of it is stored. */
  open(key: string, isTemporary: boolean): void {
    this.attachments.isTemporary = isTemporary;
    untrack(() => {
      if (this.#key !== key) {
        this.keep();
        const { text, files } = readDraft(key);
        this.#key = key;
        this.text = text;
        this.attachments.replace(files);
      }
      if (this.#isTemporary === isTemporary) return;
      this.#isTemporary = isTemporary;
      this.keep();
    });
  }

  /** From now on it is that of another chat. */
  move(key: string): void {
    if (this.#key !== null) writeDraft(this.#key, NOTHING);
    this.#key = key;
    this.keep();
  }

  /** Stores it when the typing pauses. */
  keepSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.keep(), KEEP_MS);
  }

  /** Stores it, so that it is there after a reload; not that of a temporary chat. */
  keep(): void {
    clearTimeout(this.#timer);
    if (this.#key !== null) writeDraft(this.#key, this.#content, this.#isTemporary);
  }

  /** What is sent. */
  get written(): Written {
    const { text } = this;
    const trimmed = text.trim();
    return {
      text,
      parts: [...this.attachments.parts, ...(trimmed === '' ? [] : [{ type: 'text' as const, text: trimmed }])],
    };
  }

  /** A message that was not sent is written again. */
  back(content: readonly NewPart[]): void {
    const { text, files } = withMessage({ text: this.text, files: [] }, content);
    this.text = text;
    // Those that are being stored stay.
    this.attachments.restore(files);
  }

  /** After it was sent. What was written since is the beginning of the next message. `key`: of the chat that has it now. */
  sent({ text, parts }: Written, key: string): void {
    if (this.#key !== null && this.#key !== key) writeDraft(this.#key, NOTHING);
    this.#key = key;
    this.text = withoutMessage(this.#content, text, parts).text;
    for (const part of parts) if (part.type === 'attachment') this.attachments.forget(part.hash);
    this.keep();
  }

  /** After it was sent, although another draft may be open by now. */
  sentFrom(written: Written, key: string): void {
    if (this.#key === key) this.sent(written, key);
    else writeDraft(key, withoutMessage(readDraft(key), written.text, written.parts));
  }

  get #content(): DraftContent {
    return { text: this.text, files: this.attachments.stored };
  }
}

/** Why the message cannot be sent now; undefined if it can. */
export function reasonOf(view: ChatView, draft: Draft): string | undefined {
  if (view.isUnknown) return 'The chat is being read.';
  if (view.target === null) return 'Choose a model first.';
  if (view.target.reason !== null) return view.target.reason;
  if (view.open !== null && view.open.outbox.items.length > 0) return 'The message before is not sent yet.';
  const { attachments } = draft;
  if (attachments.isStoring) return 'Files are being stored.';
  if (attachments.hasFailed) return NOT_STORED;
  if (attachments.hasImage) return IMAGES_UNREAD;
  return draft.isEmpty ? 'The message is empty.' : undefined;
}

/** What the next request has, to count its tokens. */
export function countRequest(view: ChatView, draft: Draft): CountRequest {
  const { model, system_prompt } = view.config;
  return {
    chat: view.open?.id ?? null,
    model,
    system_prompt,
    parent_id: view.open?.path.at(-1)?.id ?? null,
    draft: [...draft.written.parts],
  };
}

/** Lengths of its parts, for the estimate. `persona`: the system prompt without one of the chat. */
export function lengthsOf(view: ChatView, draft: Draft, persona: string): Lengths {
  let history = 0;
  for (const message of view.open?.path ?? []) {
    const { text, files } = charactersOf(message.content);
    history += text + files;
  }
  return {
    system: (view.config.system_prompt ?? persona).length,
    history,
    attachments: draft.attachments.characters,
    draft: draft.text.length,
  };
}

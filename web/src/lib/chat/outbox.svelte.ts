/** Messages on their way to the gateway, which they reach exactly once. */
import type { NewPart, Problem, Result, RunOptions, RunStarted } from '$lib/api';

import { newKey, sendUntilReceived } from './send';

/** A message that the gateway has not received yet. */
export interface Outgoing {
  key: string;
  content: readonly NewPart[];
  options: RunOptions;
  /** The message before it: null for the first one; undefined where the gateway knows it and the page does not. */
  parent?: string | null | undefined;
  /** Why it is still here; null while it is sent for the first time. */
  problem: Problem | null;
  /** It was rejected, and is not sent again by itself. */
  isRejected: boolean;
}

/** Sends a message once. */
export type Post = (message: Outgoing, signal: AbortSignal) => Promise<RunStarted>;

/** Of chats that were left while a message was on its way: it is shown again when they are opened before it has arrived. */
const left = new Map<string, Outbox>();

export class Outbox {
  items = $state.raw<readonly Outgoing[]>([]);
  readonly #chat: string;
  readonly #post: Post;
  readonly #aborts = new Map<string, AbortController>();
  /** Gets what cannot be sent, once nothing shows it any more. */
  #back: ((message: Outgoing) => void) | null = null;

  private constructor(chat: string, post: Post) {
    this.#chat = chat;
    this.#post = post;
  }

  /** The one of a chat that is opened. */
  static open(chat: string, post: Post): Outbox {
    const outbox = left.get(chat) ?? new Outbox(chat, post);
    left.delete(chat);
    outbox.#back = null;
    return outbox;
  }

  /** Sends a message, again until the gateway has received it. */
  send(
    content: readonly NewPart[],
    options: RunOptions,
    parent: string | null | undefined,
  ): Promise<Result<RunStarted>> {
    return this.#send({ key: newKey(), content, options, parent, problem: null, isRejected: false });
  }

  /** Sends one again that was rejected, after another message perhaps; null if there is none. */
  async resend(key: string, parent: string | null | undefined): Promise<Result<RunStarted> | null> {
    const found = this.items.find((each) => each.key === key);
    return found === undefined ? null : this.#send({ ...found, parent, problem: null, isRejected: false });
  }

  /** Gives up on a message. */
  discard(key: string): void {
    this.#remove(key);
    this.#aborts.get(key)?.abort();
  }

  /** Gives up on all that wait, and returns them. */
  take(): readonly Outgoing[] {
    const waiting = this.items.filter(({ problem }) => problem !== null);
    for (const { key } of waiting) this.discard(key);
    return waiting;
  }

  /** Requests under way go on. `back` gets what waits, and what fails before the chat is opened again. */
  close(back: (message: Outgoing) => void): void {
    for (const message of this.take()) back(message);
    this.#back = back;
    if (this.items.length > 0) left.set(this.#chat, this);
  }

  async #send(message: Outgoing): Promise<Result<RunStarted>> {
    const abort = new AbortController();
    this.#aborts.set(message.key, abort);
    this.#keep(message);
    const result = await sendUntilReceived(() => this.#post(message, abort.signal), {
      signal: abort.signal,
      onwait: (problem) => (this.#back === null ? this.#keep({ ...message, problem }) : abort.abort()),
    });
    this.#aborts.delete(message.key);
    // It was discarded, perhaps as the gateway received it.
    if (!this.items.some(({ key }) => key === message.key)) return result;
    if (!result.ok && this.#back === null) this.#keep({ ...message, problem: result.problem, isRejected: true });
    else this.#remove(message.key);
    if (!result.ok) this.#back?.(message);
    if (this.items.length === 0 && left.get(this.#chat) === this) left.delete(this.#chat);
    return result;
  }

  #keep(message: Outgoing): void {
    const isThere = this.items.some(({ key }) => key === message.key);
    this.items = isThere
      ? this.items.map((each) => (each.key === message.key ? message : each))
      : [...this.items, message];
  }

  #remove(key: string): void {
    this.items = this.items.filter((each) => each.key !== key);
  }
}

/** A chat that is open: its messages, its runs, and what users do with them. */
import {
  api,
  attempt,
  mapResult,
  type Chat,
  type ChatChanges,
  type Message,
  type NewPart,
  type Reproduction,
  type Result,
  type RunOptions,
  type RunStarted,
  type StreamEvent,
} from '$lib/api';
import { chatTopic, events, Resource } from '$lib/events';

import { shown } from './changes';
import { readDraft, withMessage, writeDraft } from './drafts';
import { EventLog } from './event-log';
import { Outbox } from './outbox.svelte';
import type { LiveRun } from './run';
import { newKey } from './send';
import { Transcript } from './transcript.svelte';
import type { Tree } from './tree';

export class OpenChat extends Resource {
  readonly id: string;
  /** Null before the first snapshot. */
  chat = $state.raw<Chat | null>(null);
  /** It was deleted, here or elsewhere. */
  isDeleted = $state(false);
  /** Messages that the gateway has not received yet. */
  readonly outbox: Outbox;
  /** Events of runs since the chat was opened. */
  readonly log = new EventLog();

  readonly #transcript = new Transcript();
  /** Runs that are being read again because events are missing. */
  readonly #catching = new Set<string>();
  /** Counts changes of `chat`, so that a response which is older than an event, or than a later action, changes nothing. */
  #revision = 0;

  /** The messages of the open branch. */
  readonly path = $derived(this.tree.path(this.chat?.leaf_id));
  /** The run of the open branch, which Stop ends. */
  readonly current: string | undefined = $derived.by(() => {
    const last = this.path.at(-1)?.id;
    return last !== undefined && this.#transcript.isWriting(last) ? this.live(last)?.run.id : undefined;
  });

  constructor(id: string, stream = events) {
    super(stream, [chatTopic(id)]);
    this.id = id;
    this.outbox = Outbox.open(id, ({ key, content, options, parent }, signal) => {
      const body = { content: [...content], parent_id: parent, idempotency_key: key, options };
      return api.post('/api/chats/{id}/messages', { params: { path: { id } }, body, signal });
    });
  }

  get tree(): Tree<Message> {
    return this.#transcript.tree;
  }

  /** The run that writes a response; undefined for a response that is complete. */
  live(message: string): LiveRun | undefined {
    return this.#transcript.live(message);
  }

  /** Ends the subscription. Messages on their way are sent all the same; what cannot be sent is a draft again. */
  close(): void {
    const isTemporary = this.chat?.is_temporary ?? false;
    this.outbox.close(({ content }) => writeDraft(this.id, withMessage(readDraft(this.id), content), isTemporary));
    this.unsubscribe();
  }

  /** Sends a message after the branch that is shown; again until the gateway has received it. */
  async send(content: readonly NewPart[], options: RunOptions = {}): Promise<Result<RunStarted>> {
    const result = await this.outbox.send(content, options, this.#end);
    if (result.ok) this.#started(result.value);
    return result;
  }

  /** Sends one again that was rejected. */
  async resend(key: string): Promise<void> {
    const result = await this.outbox.resend(key, this.#end);
    if (result?.ok) this.#started(result.value);
  }

  /** Another version of a message. A run responds to one of the user. */
  async edit(message: string, content: readonly NewPart[]): Promise<Result<null>> {
    const body = { content: [...content], idempotency_key: newKey() };
    const path = { id: this.id, message };
    const result = await this.act(message, () =>
      api.patch('/api/chats/{id}/messages/{message}', { params: { path }, body }),
    );
    if (result.ok) {
      if ('messages' in result.value) this.#started(result.value);
      else this.#edited(result.value);
    }
    return mapResult(result, () => null);
  }

  regenerate(message: string, options: RunOptions = {}): Promise<Result<RunStarted>> {
    const path = { id: this.id, message };
    return this.#begin(message, () =>
      api.post('/api/chats/{id}/messages/{message}/regenerate', { params: { path }, body: options }),
    );
  }

  /** Goes on after the text of a response that ended early. */
  continue(message: string): Promise<Result<RunStarted>> {
    const path = { id: this.id, message };
    return this.#begin(message, () =>
      api.post('/api/chats/{id}/messages/{message}/continue', { params: { path }, body: {} }),
    );
  }

  /** Ends a run; its text stays. */
  async stop(run: string): Promise<Result<null>> {
    const result = await this.act(run, () => api.post('/api/runs/{id}/stop', { params: { path: { id: run } } }));
    if (result.ok) this.#transcript.read(result.value.run, result.value.message);
    return mapResult(result, () => null);
  }

  /** Opens the branch of an alternative, on all devices. */
  open(message: string): Promise<Result<Chat>> {
    const leaf = this.tree.newestLeaf(message);
    const body = { message: leaf ?? message };
    return this.#change('leaf', { leaf_id: leaf }, () =>
      api.post('/api/chats/{id}/leaf', { params: { path: { id: this.id } }, body }),
    );
  }

  change(changes: ChatChanges): Promise<Result<Chat>> {
    return this.#change('chat', shown(changes), () =>
      api.patch('/api/chats/{id}', { params: { path: { id: this.id } }, body: changes }),
    );
  }

  /** Deletes a message and all that follow it. Returns their ids, for `restore`. */
  async remove(message: string): Promise<Result<string[]>> {
    const path = { id: this.id, message };
    const result = await this.act(message, () => api.del('/api/chats/{id}/messages/{message}', { params: { path } }));
    if (result.ok) {
      for (const id of result.value.messages) this.#transcript.drop(id);
      this.#show({ leaf_id: result.value.leaf_id ?? null });
    }
    return mapResult(result, ({ messages }) => messages);
  }

  async restore(messages: string[]): Promise<Result<null>> {
    const result = await this.act('restore', () =>
      api.post('/api/chats/{id}/messages/restore', { params: { path: { id: this.id } }, body: { messages } }),
    );
    if (result.ok) {
      for (const message of result.value.messages) this.#transcript.upsert(message);
      const last = result.value.messages.at(-1);
      if (last !== undefined) await this.open(last.id);
    }
    return mapResult(result, () => null);
  }

  /** A new chat with the messages up to this one. */
  fork(message: string): Promise<Result<Chat>> {
    return this.act(`fork:${message}`, () =>
      api.post('/api/chats/{id}/fork', { params: { path: { id: this.id } }, body: { message } }),
    );
  }

  /** Computes a response again and compares. */
  reproduce(run: string): Promise<Result<Reproduction>> {
    return this.act(`reproduce:${run}`, () => api.post('/api/runs/{id}/reproduce', { params: { path: { id: run } } }));
  }

  protected async fetch(): Promise<() => void> {
    const detail = await api.get('/api/chats/{id}', { params: { path: { id: this.id } } });
    return () => {
      this.#set(detail.chat);
      this.#transcript.replace(detail.messages, detail.runs);
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'chat' || event.event.id !== this.id) return;
    const change = event.event;
    switch (change.type) {
      case 'messages':
        for (const message of change.messages) this.#transcript.upsert(message);
        return;
      case 'removed':
        for (const id of change.messages) this.#transcript.drop(id);
        return;
      case 'changed':
        this.#set(change.chat);
        return;
      case 'deleted':
        this.isDeleted = true;
        return;
      case 'started':
        this.#transcript.read(change.run);
        return;
      case 'run':
        this.log.add(change.event);
        if (this.#transcript.advance(change.event)) void this.#catchUp(change.event.run);
    }
  }

  /** The message after which the next one is sent; undefined before the messages are there. */
  get #end(): string | null | undefined {
    return this.loadedAtMs === null ? undefined : (this.path.at(-1)?.id ?? null);
  }

  /** Starts a run for a message that is there. */
  async #begin(message: string, request: () => Promise<RunStarted>): Promise<Result<RunStarted>> {
    const result = await this.act(message, request);
    if (result.ok) this.#started(result.value);
    return result;
  }

  /** Changes the chat, which shows it at once. */
  async #change(action: string, fields: Partial<Chat>, request: () => Promise<Chat>): Promise<Result<Chat>> {
    let revision = this.#revision;
    const result = await this.act(action, request, () => {
      const undo = this.#show(fields);
      revision = this.#revision;
      return undo;
    });
    if (result.ok && revision === this.#revision) this.#set(result.value);
    return result;
  }

  #set(chat: Chat): void {
    this.#revision += 1;
    this.chat = chat;
    // It may be restored.
    this.isDeleted = chat.deleted_at_ms != null;
  }

  #started({ run, messages }: RunStarted): void {
    for (const message of messages) this.#transcript.upsert(message);
    this.#transcript.read(run);
    this.#show({ leaf_id: run.message });
  }

  #edited(message: Message): void {
    this.#transcript.upsert(message);
    this.#show({ leaf_id: message.id });
  }

  /** Reads a run of which events are missing. What arrives meanwhile waits in its state. */
  async #catchUp(id: string): Promise<void> {
    if (this.#catching.has(id)) return;
    this.#catching.add(id);
    const result = await attempt(() => api.get('/api/runs/{id}', { params: { path: { id } } }));
    this.#catching.delete(id);
    if (result.ok) this.#transcript.read(result.value.run, result.value.message);
  }

  /** Changes some fields at once. Returns what takes them back. */
  #show(fields: Partial<Chat>): () => void {
    const before = this.chat;
    if (before === null) return () => undefined;
    const after = { ...before, ...fields };
    this.#revision += 1;
    this.chat = after;
    return () => {
      if (this.chat === after) this.chat = before;
    };
  }
}

/** The list of chats: of a server, a model, a tag or a search. */
import { SvelteMap } from 'svelte/reactivity';

import {
  api,
  attempt,
  mapResult,
  type Chat,
  type ChatChanges,
  type ChatEntry,
  type ChatExport,
  type ChatFilter,
  type NewChat,
  type Result,
  type StreamEvent,
} from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry, replace } from '$lib/events/resource.svelte';
import { servers } from '$lib/servers/store.svelte';

import { shown } from './changes';

export class ChatList extends Resource {
  /** In the order of the list, which only changes when it is read. */
  readonly items = new SvelteMap<string, ChatEntry>();
  readonly list = $derived([...this.items.values()]);
  /** Tags of all chats. */
  tags = $state.raw<readonly string[]>([]);
  filter = $state.raw<ChatFilter>({});
  isLoadingMore = $state(false);
  #next = $state.raw<string | null>(null);
  /** Chats that appeared since, on other devices and tabs. They are shown when the user wants them. */
  #held = new SvelteMap<string, Chat>();

  constructor(stream = events) {
    super(stream, ['chats']);
  }

  /** Chats that are held back. */
  get fresh(): number {
    return this.#held.size;
  }

  get hasMore(): boolean {
    return this.#next !== null;
  }

  find(id: string): Chat | undefined {
    return this.items.get(id)?.chat;
  }

  async setFilter(filter: ChatFilter): Promise<void> {
    if (JSON.stringify(filter) === JSON.stringify(this.filter)) return this.load();
    this.filter = filter;
    await this.refresh();
  }

  /** Reads the list again, with what was held back. */
  showFresh(): Promise<void> {
    return this.refresh();
  }

  async more(): Promise<void> {
    const after = this.#next;
    if (after === null || this.isLoadingMore) return;
    this.isLoadingMore = true;
    const filter = this.filter;
    const result = await attempt(() => api.get('/api/chats', { params: { query: { ...filter, after } } }));
    this.isLoadingMore = false;
    // Another list was asked for meanwhile.
    if (!result.ok || filter !== this.filter) return;
    for (const entry of result.value.chats) this.items.set(entry.chat.id, entry);
    this.#next = result.value.next ?? null;
  }

  /** The user's own new chat comes first at once. */
  async create(config: NewChat): Promise<Result<Chat>> {
    const result = await this.act('create', () => api.post('/api/chats', { body: config }));
    if (result.ok) this.add(result.value);
    return result;
  }

  /** A chat of an export, as a new one. */
  async import(file: ChatExport): Promise<Result<Chat>> {
    const result = await this.act('import', () => api.post('/api/chats/import', { body: file }));
    if (result.ok) this.add(result.value);
    return result;
  }

  /** Puts a chat of this tab first. */
  add(chat: Chat): void {
    this.#held.delete(chat.id);
    if (chat.is_temporary) return;
    const others = this.list.filter((entry) => entry.chat.id !== chat.id);
    fill(this.items, [{ chat }, ...others], (entry) => entry.chat.id);
  }

  async change(id: string, changes: ChatChanges): Promise<Result<Chat>> {
    const entry = this.items.get(id);
    const result = await this.act(
      id,
      () => api.patch('/api/chats/{id}', { params: { path: { id } }, body: changes }),
      entry && (() => replace(this.items, id, { ...entry, chat: { ...entry.chat, ...shown(changes) } })),
    );
    if (result.ok) this.#update(result.value);
    return result;
  }

  /** Deletes a chat, which `restore` takes back. */
  async remove(id: string): Promise<Result<null>> {
    const result = await this.act(
      id,
      () => api.del('/api/chats/{id}', { params: { path: { id } } }),
      () => removeEntry(this.items, id),
    );
    return mapResult(result, () => null);
  }

  async restore(id: string): Promise<Result<Chat>> {
    const result = await this.act(id, () => api.post('/api/chats/{id}/restore', { params: { path: { id } } }));
    if (result.ok) this.add(result.value);
    return result;
  }

  protected async fetch(): Promise<() => void> {
    const page = await api.get('/api/chats', { params: { query: this.filter } });
    return () => {
      fill(this.items, page.chats, (entry) => entry.chat.id);
      this.#next = page.next ?? null;
      this.tags = page.tags;
      this.#held.clear();
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'chats') return;
    if (event.event.type === 'removed') {
      this.items.delete(event.event.id);
      this.#held.delete(event.event.id);
      return;
    }
    const { chat } = event.event;
    if (this.items.has(chat.id)) this.#update(chat);
    else if (this.#mayBelong(chat)) this.#held.set(chat.id, chat);
  }

  #update(chat: Chat): void {
    const entry = this.items.get(chat.id);
    if (entry !== undefined) this.items.set(chat.id, { ...entry, chat });
    if (chat.tags.some((tag) => !this.tags.includes(tag)))
      this.tags = [...new Set([...this.tags, ...chat.tags])].sort();
  }

  /** Whether reading the list again can show it. Texts are searched by the gateway. */
  #mayBelong(chat: Chat): boolean {
    const { q, model, server, tag, pinned } = this.filter;
    if (q) return false;
    return (
      (server == null || isWith(chat, server)) &&
      (model == null || chat.model === model) &&
      (tag == null || chat.tags.includes(tag)) &&
      (pinned == null || chat.is_pinned === pinned)
    );
  }
}

/** Whether a chat is with the model of a server, or with a profile that it serves. */
function isWith({ model }: Chat, server: string): boolean {
  const found = servers.items.get(server);
  return found !== undefined && model != null && (found.name === model || found.profiles.includes(model));
}

export const chats = new ChatList();

/** What the page of a chat shows: a chat, or one that begins with its first message. Opening it changes nothing at the gateway. */
import { untrack } from 'svelte';

import type { Chat, ChatChanges, NewChat, NewPart, Problem, Result } from '$lib/api';
import { read, write } from '$lib/shell/storage';

import { shown } from './changes';
import { NEW_CHAT } from './drafts';
import { chats } from './list.svelte';
import { sources } from './sources.svelte';
import { OpenChat } from './store.svelte';
import { defaultTarget, targetOf } from './targets';

/** What a user chooses for a chat, whether it exists or not. */
export type ChatConfig = Pick<
  Chat,
  'model' | 'protocol' | 'persona_id' | 'system_prompt' | 'settings' | 'is_temporary'
> & {
  title: string;
  tags: readonly string[];
};

const LAST_MODEL = 'chat-model';

const BLANK: ChatConfig = {
  title: 'New chat',
  model: null,
  protocol: 'openai',
  persona_id: null,
  system_prompt: null,
  settings: {},
  tags: [],
  is_temporary: false,
};

export class ChatView {
  open = $state.raw<OpenChat | null>(null);
  /** Why the chat could not be created. */
  problem = $state.raw<Problem | null>(null);
  isCreating = $state(false);
  #blank = $state.raw<ChatConfig>(BLANK);
  /** The model that was chosen last, in any chat. */
  #last = $state.raw(read(LAST_MODEL));
  /** Counts what was shown, so that what takes long does not change what was opened since. */
  #visit = 0;

  /** What a new chat is with. As a name, it is the same after each measurement of a server. */
  readonly #standard: string | null = $derived(defaultTarget(this.#last, sources()));

  readonly config: ChatConfig = $derived.by(() => {
    if (this.open !== null) return this.open.chat ?? { ...BLANK, title: 'Chat' };
    return this.#blank.model === null ? { ...this.#blank, model: this.#standard } : this.#blank;
  });
  /** Whether it is not stored; null as long as that is not known. */
  readonly isTemporary: boolean | null = $derived(
    this.open === null ? this.#blank.is_temporary : (this.open.chat?.is_temporary ?? null),
  );
  readonly target = $derived(targetOf(this.config.model, sources()));
  /** Names the draft. */
  readonly draftKey = $derived(this.open?.id ?? NEW_CHAT);

  /** Whether nothing is known yet of the chat that is open, not even its model. */
  get isUnknown(): boolean {
    return this.open !== null && this.open.chat === null && this.open.status !== 'error';
  }

  /** Shows a chat; null: a new one, with the model of the address if there is one. */
  show(id: string | null, model: string | null): void {
    untrack(() => {
      this.problem = null;
      if (id === null) {
        this.#leave();
        this.#last = read(LAST_MODEL);
        this.#blank = { ...BLANK, model };
      } else if (this.open?.id !== id) {
        this.#leave();
        const open = new OpenChat(id);
        // As the list has it, until it is read: its model decides what the list has.
        open.chat = chats.find(id) ?? null;
        this.open = open;
        void open.load();
      }
    });
  }

  close(): void {
    untrack(() => this.#leave());
  }

  /** Changes what a user has chosen. Returns why it was not changed. */
  async change(changes: ChatChanges): Promise<Problem | null> {
    if (changes.model) write(LAST_MODEL, changes.model);
    if (this.open === null) {
      this.#blank = { ...this.config, ...shown(changes) };
      return null;
    }
    const result = await this.open.change(changes);
    return result.ok ? null : result.problem;
  }

  /** A chat that is in no list; only before its first message. */
  setTemporary(isTemporary: boolean): void {
    this.#blank = { ...this.config, is_temporary: isTemporary };
  }

  /**
   * Sends a message. For a new chat, `created` gets it before the message is sent, and whether it is shown: it is not if another one
   * was opened meanwhile. Returns why the message is not on its way.
   */
  async send(content: readonly NewPart[], created: (chat: Chat, isShown: boolean) => void): Promise<Problem | null> {
    if (this.open !== null) {
      if (this.config.model) write(LAST_MODEL, this.config.model);
      void this.open.send(content);
      return null;
    }
    const visit = this.#visit;
    const result = await this.#create();
    if (!result.ok) return result.problem;
    const open = new OpenChat(result.value.id);
    open.chat = result.value;
    if (result.value.model) write(LAST_MODEL, result.value.model);
    const isShown = visit === this.#visit;
    if (isShown) {
      this.open = open;
      void open.load();
    }
    created(result.value, isShown);
    void open.send(content);
    if (!isShown) open.close();
    return null;
  }

  async #create(): Promise<Result<Chat>> {
    const visit = this.#visit;
    const { title, tags, ...others } = this.config;
    const config: NewChat = { ...others, tags: [...tags], ...(title === BLANK.title ? {} : { title }) };
    this.isCreating = true;
    const result = await chats.create(config);
    if (visit === this.#visit) {
      this.isCreating = false;
      this.problem = result.ok ? null : result.problem;
    }
    return result;
  }

  #leave(): void {
    this.#visit += 1;
    this.isCreating = false;
    this.open?.close();
    this.open = null;
  }
}

// The messages of a chat are a tree: each names its parent, and edits and regenerated responses are siblings. No Svelte inside.

/** What the tree needs of a message. */
export interface Linked {
  readonly id: string;
  /** Null for the first message of a chat. */
  readonly parent_id?: string | null | undefined;
}

/** Where a message is among the alternatives to it. */
export interface Fork {
  /** From 0. */
  index: number;
  /** At least 2. */
  count: number;
  /** The alternatives next to it; null at the ends. */
  previous: string | null;
  next: string | null;
}

/** Messages by their parents. Their order is that of their ids, which are those of their creation. */
export class Tree<M extends Linked> {
  readonly #byId = new Map<string, M>();
  readonly #children = new Map<string | null, M[]>();

  constructor(messages: Iterable<M>) {
    for (const message of messages) this.#byId.set(message.id, message);
    for (const message of this.#byId.values()) {
      const parent = this.#parentOf(message);
      const siblings = this.#children.get(parent);
      if (siblings === undefined) this.#children.set(parent, [message]);
      else siblings.push(message);
    }
    for (const siblings of this.#children.values()) siblings.sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  get size(): number {
    return this.#byId.size;
  }

  find(id: string): M | undefined {
    return this.#byId.get(id);
  }

  /** Those that follow a message, oldest first; null: the first ones of the chat. */
  children(id: string | null): readonly M[] {
    return this.#children.get(id) ?? [];
  }

  /** A message and its alternatives. */
  siblings(id: string): readonly M[] {
    const message = this.#byId.get(id);
    return message === undefined ? [] : this.children(this.#parentOf(message));
  }

  /** Null where there is no alternative. */
  fork(id: string): Fork | null {
    const siblings = this.siblings(id);
    if (siblings.length < 2) return null;
    const index = siblings.findIndex((sibling) => sibling.id === id);
    return {
      index,
      count: siblings.length,
      previous: siblings[index - 1]?.id ?? null,
      next: siblings[index + 1]?.id ?? null,
    };
  }

  /** From the first message to this one. A leaf that is not there is the newest one. */
  path(leaf: string | null | undefined): M[] {
    const path: M[] = [];
    const seen = new Set<string>();
    let message = this.#byId.get(leaf ?? '') ?? this.#byId.get(this.newestLeaf(null) ?? '');
    while (message !== undefined && !seen.has(message.id)) {
      seen.add(message.id);
      path.push(message);
      message = this.#byId.get(this.#parentOf(message) ?? '');
    }
    return path.reverse();
  }

  /** The leaf to which the newest messages after this one lead; null for a tree without messages. */
  newestLeaf(id: string | null): string | null {
    let leaf = id;
    const seen = new Set<string | null>();
    while (!seen.has(leaf)) {
      seen.add(leaf);
      leaf = this.children(leaf).at(-1)?.id ?? leaf;
    }
    return leaf;
  }

  /** A message and all that follow it: what is deleted with it. */
  below(id: string): M[] {
    const found = new Map<string, M>();
    const pending = [id];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const message = this.#byId.get(next);
      if (message === undefined || found.has(next)) continue;
      found.set(next, message);
      pending.push(...this.children(next).map((child) => child.id));
    }
    return [...found.values()];
  }

  /** Where the parent is missing, the message begins a branch of its own. */
  #parentOf(message: M): string | null {
    const parent = message.parent_id ?? null;
    return parent !== null && parent !== message.id && this.#byId.has(parent) ? parent : null;
  }
}

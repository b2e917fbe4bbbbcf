/** What all stores have in common: a snapshot, the events after it, and actions that show at once what they will do. */
import { untrack } from 'svelte';
import { SvelteSet } from 'svelte/reactivity';

import type { Problem } from '../api/problem';
import { attempt, type Result } from '../api/result';
import type { StreamEvent } from '../api/types';
import type { Events } from './client.svelte';
import type { TopicName } from './topics';

/** `loading` and `error`: there is no snapshot yet. Later failures leave the data, and are in `problem`. */
export type Status = 'idle' | 'loading' | 'ready' | 'error';

export abstract class Resource {
  status = $state<Status>('idle');
  problem = $state.raw<Problem | null>(null);
  /** When the snapshot was read that is shown. */
  loadedAtMs = $state<number | null>(null);

  readonly #events: Events;
  readonly #topics: readonly TopicName[];
  #pending = new SvelteSet<string>();
  #unsubscribe: (() => void) | null = null;
  #running: Promise<void> | null = null;
  /** Events since the snapshot was requested, which may be older or newer than it. */
  #buffer: StreamEvent[] | null = null;
  #isStale = false;
  #isAgain = false;

  constructor(events: Events, topics: readonly TopicName[]) {
    this.#events = events;
    this.#topics = topics;
  }

  /** Reads the snapshot. Returns what replaces the state with it. */
  protected abstract fetch(): Promise<() => void>;

  /** Applies an event to the state. Applying one twice changes nothing. */
  protected abstract reduce(event: StreamEvent): void;

  /**
   * Reads the snapshot unless it is there and live. Does not throw: see `status` and `problem`. An effect that calls it does not
   * depend on the state of the store.
   */
  load(): Promise<void> {
    const isLive = (): boolean => this.status === 'ready' && !this.#isStale && this.#unsubscribe !== null;
    return untrack(isLive) ? Promise.resolve() : this.reload();
  }

  /** Reads the snapshot again, for example after a failure. */
  reload(): Promise<void> {
    this.#subscribe();
    this.#running ??= untrack(() => this.#run()).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Reads the snapshot as `reload` does, also if one is being read that is no longer wanted. */
  protected refresh(): Promise<void> {
    this.#isAgain = this.#running !== null;
    return this.reload();
  }

  /** An event of the stream. */
  apply(event: StreamEvent): void {
    this.#buffer?.push(event);
    if (this.loadedAtMs !== null) this.reduce(event);
  }

  /** Whether an action on something has not been answered yet. */
  isPending(id: string): boolean {
    return this.#pending.has(id);
  }

  /** Ends the subscription. The state stays, and is read again by the next `load`. */
  protected unsubscribe(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /**
   * Sends a change. `optimistic` shows it before the response and returns what takes it back if the request fails.
   */
  protected async act<T>(id: string, request: () => Promise<T>, optimistic?: () => () => void): Promise<Result<T>> {
    this.#pending.add(id);
    const undo = optimistic?.();
    const result = await attempt(request);
    if (!result.ok) undo?.();
    this.#pending.delete(id);
    return result;
  }

  #subscribe(): void {
    this.#unsubscribe ??= this.#events.subscribe({
      topics: this.#topics,
      apply: (event) => this.apply(event),
      // A snapshot that is being read may be older than what was lost.
      reset: () => void this.refresh(),
      live: () => {
        if (this.#isStale && this.status !== 'idle') void this.refresh();
      },
    });
  }

  async #run(): Promise<void> {
    do {
      this.#isAgain = false;
      if (this.loadedAtMs === null) this.status = 'loading';
      this.#isStale = !(await this.#events.ready(this.#topics));
      this.#buffer = [];
      const result = await attempt(() => this.fetch());
      const events: StreamEvent[] = this.#buffer;
      this.#buffer = null;
      // Another snapshot follows at once, of something else perhaps.
      if (this.#isAgain) continue;
      if (result.ok) {
        result.value();
        this.loadedAtMs = Date.now();
        for (const event of events) this.reduce(event);
        this.status = 'ready';
        this.problem = null;
      } else {
        this.#isStale = true;
        this.problem = result.problem;
        if (this.loadedAtMs === null) this.status = 'error';
      }
    } while (this.#isAgain);
  }
}

/** Sets an entry, and returns what restores the earlier one unless the entry has changed again. */
export function replace<K, V>(map: Map<K, V>, key: K, value: V): () => void {
  const before = map.get(key);
  map.set(key, value);
  return () => {
    if (map.get(key) !== value) return;
    if (before === undefined) map.delete(key);
    else map.set(key, before);
  };
}

/** Removes an entry, and returns what puts it back. It comes last then. */
export function removeEntry<K, V>(map: Map<K, V>, key: K): () => void {
  const before = map.get(key);
  map.delete(key);
  return () => {
    if (before !== undefined && !map.has(key)) map.set(key, before);
  };
}

/** Makes the entries of a map those of a list, in its order. */
export function fill<K, V>(map: Map<K, V>, entries: readonly V[], key: (entry: V) => K): void {
  map.clear();
  for (const entry of entries) map.set(key(entry), entry);
}

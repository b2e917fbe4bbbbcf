/** What the bell shows: what happened while no one asked for it. */
import { SvelteMap } from 'svelte/reactivity';

import type { Download, LogLevel, StreamEvent } from '$lib/api';
import { events } from '$lib/events';
import { servers } from '$lib/servers/store.svelte';

/** Most that are kept; the oldest are dropped. */
const MAX_NOTICES = 100;

export interface NoticeItem {
  id: string;
  level: LogLevel;
  message: string;
  /** The page of what it is about. */
  href: string | null;
  at_ms: number;
  read: boolean;
}

type Finding = Pick<NoticeItem, 'id' | 'level' | 'message' | 'href'>;

export class NoticeStore {
  #items = new SvelteMap<string, NoticeItem>();
  #nextId = 0;
  #isStarted = false;

  /** Latest first. */
  readonly list = $derived([...this.#items.values()].reverse());
  readonly unread = $derived(this.list.filter((notice) => !notice.read).length);

  /** Follows the stream, once. */
  start(stream = events): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    stream.subscribe({
      topics: ['notices', 'servers', 'downloads'],
      apply: (event) => this.apply(event),
      // What was lost is not told again: the lists show its result.
      reset: () => undefined,
    });
  }

  /** An event of the stream. */
  apply(event: StreamEvent): void {
    const finding = this.#find(event);
    if (finding === null || this.#items.has(finding.id)) return;
    this.#items.set(finding.id, { ...finding, at_ms: Date.now(), read: false });
    for (const id of [...this.#items.keys()].slice(0, -MAX_NOTICES)) this.#items.delete(id);
  }

  markRead(): void {
    for (const [id, notice] of this.#items) if (!notice.read) this.#items.set(id, { ...notice, read: true });
  }

  dismiss(id: string): void {
    this.#items.delete(id);
  }

  #find(event: StreamEvent): Finding | null {
    if (event.topic === 'notices') {
      const { level, message } = event.event;
      return { id: `notice:${this.#nextId++}`, level, message, href: null };
    }
    if (event.topic === 'servers' && event.event.type === 'exited' && event.event.cause !== 'requested') {
      const { id, message } = event.event;
      const name = servers.find(id)?.name ?? 'A model';
      return { id: `exit:${id}`, level: 'error', message: `${name}: ${message}`, href: '/servers' };
    }
    if (event.topic === 'downloads' && event.event.type === 'changed') return ofDownload(event.event.download);
    return null;
  }
}

/** Of a download that has just ended. */
function ofDownload({ id, repo_id, state, error, finished_at_ms }: Download): Finding | null {
  const href = `/models/${repo_id.split('/').map(encodeURIComponent).join('/')}`;
  const key = `download:${id}:${finished_at_ms ?? 0}`;
  switch (state) {
    case 'done':
      return { id: key, level: 'info', message: `${repo_id} is downloaded.`, href };
    case 'failed':
      return { id: key, level: 'error', message: `${repo_id} was not downloaded. ${error ?? ''}`.trim(), href };
    default:
      return null;
  }
}

export const notices = new NoticeStore();

/** The download queue. */
import { SvelteMap } from 'svelte/reactivity';

import { api, mapResult, type Download, type DownloadRequest, type Result } from '$lib/api';
import type { StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry, replace } from '$lib/events/resource.svelte';
import { hasEnded } from './describe';

export class DownloadStore extends Resource {
  readonly items = new SvelteMap<string, Download>();
  #order = $state.raw<readonly string[]>([]);

  /** In the order of the queue. */
  readonly list = $derived(this.#order.map((id) => this.items.get(id)).filter((download) => download !== undefined));
  /** Those that go on: not done, failed or cancelled. */
  readonly active = $derived(this.list.filter((download) => !hasEnded(download)));
  /** Those that a user may want to do something about: also failed ones. */
  readonly shown = $derived(this.list.filter(({ state }) => state !== 'done' && state !== 'cancelled'));
  /** Of all downloads together. */
  readonly bytesPerSecond = $derived(
    this.active.reduce(
      (sum, { state, bytes_per_second }) => sum + (state === 'running' ? (bytes_per_second ?? 0) : 0),
      0,
    ),
  );

  constructor(stream = events) {
    super(stream, ['downloads']);
  }

  /** The latest download of a repository. */
  ofRepo(repoId: string): Download | undefined {
    return this.list
      .filter((download) => download.repo_id === repoId)
      .reduce<Download | undefined>(
        (latest, download) =>
          latest === undefined || download.created_at_ms >= latest.created_at_ms ? download : latest,
        undefined,
      );
  }

  async add(request: DownloadRequest): Promise<Result<Download>> {
    return this.#kept(await this.act(`add:${request.repo_id}`, () => api.post('/api/downloads', { body: request })));
  }

  /** Whether the download of a repository was requested and has not been answered yet. */
  isAdding(repoId: string): boolean {
    return this.isPending(`add:${repoId}`);
  }

  async pause(id: string): Promise<Result<Download>> {
    const result = await this.act(
      id,
      () => api.post('/api/downloads/{id}/pause', { params: { path: { id } } }),
      () => this.#show(id, { state: 'paused', bytes_per_second: null, remaining_seconds: null }),
    );
    return this.#kept(result);
  }

  /** Continues a download that is paused, waits, has failed or was cancelled. */
  async resume(id: string): Promise<Result<Download>> {
    const result = await this.act(
      id,
      () => api.post('/api/downloads/{id}/resume', { params: { path: { id } } }),
      () => this.#show(id, { state: 'queued', waiting_for: null, error: null }),
    );
    return this.#kept(result);
  }

  async cancel(id: string, options: { keepPartial?: boolean } = {}): Promise<Result<Download>> {
    const query = { keep_partial: options.keepPartial ?? false };
    const result = await this.act(
      id,
      () => api.post('/api/downloads/{id}/cancel', { params: { path: { id }, query } }),
      () => this.#show(id, { state: 'cancelled', bytes_per_second: null, remaining_seconds: null }),
    );
    return this.#kept(result);
  }

  /** Takes a download off the list. Partial files are removed unless they are kept; a complete model stays. */
  async remove(id: string, options: { keepPartial?: boolean } = {}): Promise<Result<null>> {
    const query = { keep_partial: options.keepPartial ?? false };
    const result = await this.act(
      id,
      () => api.del('/api/downloads/{id}', { params: { path: { id }, query } }),
      () => removeEntry(this.items, id),
    );
    return mapResult(result, () => null);
  }

  /** Puts some downloads first, in this order. */
  async reorder(first: string[]): Promise<Result<Download[]>> {
    const before = this.#order;
    const order = [...first, ...before.filter((id) => !first.includes(id))];
    const result = await this.act(
      'order',
      () => api.put('/api/downloads/order', { body: { first } }),
      () => {
        this.#order = order;
        return () => {
          if (this.#order === order) this.#order = before;
        };
      },
    );
    return mapResult(result, ({ downloads }) => downloads);
  }

  protected async fetch(): Promise<() => void> {
    const { downloads } = await api.get('/api/downloads');
    return () => {
      fill(this.items, downloads, (download) => download.id);
      this.#order = downloads.map((download) => download.id);
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'downloads') return;
    const change = event.event;
    switch (change.type) {
      case 'changed':
        this.#upsert(change.download);
        return;
      case 'progress': {
        const { id, done_bytes, bytes_per_second = null } = change;
        const total_bytes = change.total_bytes ?? this.items.get(id)?.total_bytes ?? null;
        const remaining_seconds = remaining(done_bytes, total_bytes, bytes_per_second);
        this.#show(id, { done_bytes, total_bytes, bytes_per_second, remaining_seconds });
        return;
      }
      case 'removed':
        this.items.delete(change.id);
        this.#order = this.#order.filter((id) => id !== change.id);
        return;
      case 'reordered':
        this.#order = change.ids;
    }
  }

  #upsert(download: Download): void {
    this.items.set(download.id, download);
    if (!this.#order.includes(download.id)) this.#order = [...this.#order, download.id];
  }

  #show(id: string, fields: Partial<Download>): () => void {
    const download = this.items.get(id);
    return download === undefined ? () => undefined : replace(this.items, id, { ...download, ...fields });
  }

  #kept(result: Result<Download>): Result<Download> {
    if (result.ok) this.#upsert(result.value);
    return result;
  }
}

function remaining(done: number, total: number | null, speed: number | null): number | null {
  return total === null || speed === null || speed === 0 ? null : Math.ceil(Math.max(0, total - done) / speed);
}

export const downloads = new DownloadStore();

/** The search on the hub. Its results are not pushed: they are those of the last search. */
import { untrack } from 'svelte';

import { api, attempt, type Problem, type RemoteModel, type SearchQuery } from '$lib/api';
import type { Status } from '$lib/events';

import { models } from './store.svelte';

export class ModelSearch {
  status = $state<Status>('idle');
  problem = $state.raw<Problem | null>(null);
  results = $state.raw<readonly RemoteModel[]>([]);
  /** What was searched for. */
  params = $state.raw<SearchQuery>({});
  isLoadingMore = $state(false);
  #nextPage = $state<number | null>(null);
  #abort: AbortController | null = null;

  get hasMore(): boolean {
    return this.#nextPage !== null;
  }

  /** Whether it is on this machine. `RemoteModel.downloaded` is that of the search. */
  isDownloaded(repoId: string): boolean {
    return models.find(repoId)?.complete ?? false;
  }

  /** Searches. Earlier results stay until there are new ones; a search that has not ended is given up. */
  async search(params: SearchQuery): Promise<void> {
    const abort = this.#restart();
    this.params = params;
    this.status = 'loading';
    this.isLoadingMore = false;
    const result = await this.#page(1, abort.signal);
    if (abort.signal.aborted) return;
    if (result.ok) {
      this.results = result.value.models;
      this.#nextPage = result.value.next_page ?? null;
      this.problem = null;
      this.status = 'ready';
    } else {
      this.problem = result.problem;
      this.status = 'error';
    }
  }

  /** Adds the next page. */
  async more(): Promise<void> {
    if (this.#nextPage === null || this.isLoadingMore || this.status !== 'ready') return;
    const abort = this.#restart();
    this.isLoadingMore = true;
    const result = await this.#page(this.#nextPage, abort.signal);
    if (abort.signal.aborted) return;
    this.isLoadingMore = false;
    if (result.ok) {
      // The hub's order changes between two pages.
      const known = new Set(this.results.map((model) => model.repo_id));
      this.results = [...this.results, ...result.value.models.filter((model) => !known.has(model.repo_id))];
      this.#nextPage = result.value.next_page ?? null;
      this.problem = null;
    } else {
      this.problem = result.problem;
    }
  }

  #restart(): AbortController {
    this.#abort?.abort();
    this.#abort = new AbortController();
    return this.#abort;
  }

  #page(page: number, signal: AbortSignal) {
    // An effect may search.
    const query = { ...untrack(() => this.params), page };
    return attempt(() => api.get('/api/models/search', { params: { query }, signal }));
  }
}

export const hub = new ModelSearch();

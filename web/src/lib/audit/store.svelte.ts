/** Requests that have ended, newest first. Live while a page shows them. */
import { api, attempt, type AuditFilter, type AuditRow, type AuditTotals, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';

import { addToTotals, matches } from './filter';

const PAGE = 100;
/** Rows that came while the page was shown, of which later ones replace earlier ones. */
const MAX_FRESH = 1_000;

export class AuditStore extends Resource {
  filter = $state.raw<AuditFilter>({});
  rows = $state.raw<readonly AuditRow[]>([]);
  totals = $state.raw<AuditTotals | null>(null);
  isLoadingMore = $state(false);
  #fresh = $state.raw<readonly AuditRow[]>([]);
  #next = $state<string | null>(null);
  #ids = new Set<string>();
  #watchers = 0;
  /** Of the filter: responses of an earlier one are left out. */
  #version = 0;

  constructor(stream = events) {
    super(stream, ['audit']);
  }

  /** New rows that are held back, so that the list does not move. */
  get fresh(): number {
    return this.#fresh.length;
  }

  get hasMore(): boolean {
    return this.#next !== null;
  }

  /** Shows the rows that were held back. */
  showFresh(): void {
    this.rows = [...this.#fresh, ...this.rows];
    this.#fresh = [];
  }

  /** Loads the rows and follows new ones, until the function is called that it returns. */
  watch(): () => void {
    this.#watchers += 1;
    void this.load();
    return () => {
      this.#watchers -= 1;
      if (this.#watchers === 0) this.unsubscribe();
    };
  }

  async setFilter(filter: AuditFilter): Promise<void> {
    this.filter = filter;
    this.#version += 1;
    await this.refresh();
  }

  /** Adds the next page. */
  async more(): Promise<void> {
    if (this.#next === null || this.isLoadingMore) return;
    this.isLoadingMore = true;
    const version = this.#version;
    const query = { ...this.filter, limit: PAGE, after: this.#next };
    const result = await attempt(() => api.get('/api/audit', { params: { query } }));
    this.isLoadingMore = false;
    if (version !== this.#version) return;
    if (!result.ok) {
      this.problem = result.problem;
      return;
    }
    const rows = result.value.rows.filter((row) => !this.#ids.has(row.id));
    for (const row of rows) this.#ids.add(row.id);
    this.rows = [...this.rows, ...rows];
    this.#next = result.value.next ?? null;
  }

  /** The address of a file with all rows of the filter, for a link with `download`. */
  exportUrl(format: 'csv' | 'jsonl'): string {
    const query = new URLSearchParams({ format });
    for (const [key, value] of Object.entries(this.filter)) if (value != null) query.set(key, String(value));
    return `/api/audit/export?${query}`;
  }

  protected async fetch(): Promise<() => void> {
    const query = this.filter;
    const [page, totals] = await Promise.all([
      api.get('/api/audit', { params: { query: { ...query, limit: PAGE } } }),
      api.get('/api/audit/totals', { params: { query } }),
    ]);
    return () => {
      this.rows = page.rows;
      this.totals = totals;
      this.#fresh = [];
      this.#next = page.next ?? null;
      this.#ids = new Set(page.rows.map((row) => row.id));
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'audit') return;
    const row = event.event;
    if (this.#ids.has(row.id) || !matches(row, this.filter)) return;
    this.#ids.add(row.id);
    // A list without rows cannot move.
    if (this.rows.length === 0) this.rows = [row];
    else this.#fresh = [row, ...this.#fresh].slice(0, MAX_FRESH);
    if (this.totals !== null) this.totals = addToTotals(this.totals, row);
  }
}

export const audit = new AuditStore();

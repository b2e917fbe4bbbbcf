// The requests of one server of the last day: those that named its model or one of its profiles, also as they end.
import { api, type AuditRow, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';

export const DAY_MS = 24 * 3_600_000;
/** Most rows of a page of the API. */
const MOST = 1_000;

export class RecentRequests extends Resource {
  /** Newest first. */
  rows = $state.raw<readonly AuditRow[]>([]);
  /** There were more: the oldest of the day are missing. */
  isCut = $state(false);
  readonly #names: readonly string[];

  constructor(names: readonly string[], stream = events) {
    super(stream, ['audit']);
    this.#names = names;
  }

  protected async fetch(): Promise<() => void> {
    const from = Date.now() - DAY_MS;
    const pages = await Promise.all(
      this.#names.map((model) => api.get('/api/audit', { params: { query: { model, from_ms: from, limit: MOST } } })),
    );
    const rows = pages.flatMap((page) => page.rows).toSorted((a, b) => b.at_ms - a.at_ms);
    return () => {
      this.rows = rows;
      this.isCut = pages.some((page) => page.next != null);
    };
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'audit' || !this.#names.includes(event.event.model)) return;
    const { event: row } = event;
    if (this.rows.some((known) => known.id === row.id)) return;
    this.rows = [row, ...this.rows].slice(0, MOST * this.#names.length);
  }

  /** No longer live. */
  close(): void {
    this.unsubscribe();
  }
}

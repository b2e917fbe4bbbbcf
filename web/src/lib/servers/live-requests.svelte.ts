/** The requests of one server that have not ended. */
import { SvelteSet } from 'svelte/reactivity';

import { api, mapResult, type LiveRequest, type Result, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';

export class LiveRequests extends Resource {
  readonly #server: string;
  #all = $state.raw<readonly LiveRequest[]>([]);
  /** Cancelled on this page: left out until the gateway does not list them any more. */
  #cancelled = new SvelteSet<string>();

  /** In the order of their arrival. */
  readonly list = $derived(this.#all.filter(({ id }) => !this.#cancelled.has(id)));

  constructor(server: string, stream = events) {
    super(stream, ['requests']);
    this.#server = server;
  }

  async cancel(id: string): Promise<Result<null>> {
    const path = { id: this.#server, request_id: id };
    const result = await this.act(
      id,
      () => api.post('/api/servers/{id}/requests/{request_id}/cancel', { params: { path } }),
      () => {
        this.#cancelled.add(id);
        return () => this.#cancelled.delete(id);
      },
    );
    return mapResult(result, () => null);
  }

  /** No longer live. */
  close(): void {
    this.unsubscribe();
  }

  protected async fetch(): Promise<() => void> {
    const { requests } = await api.get('/api/servers/{id}/requests', { params: { path: { id: this.#server } } });
    return () => this.#replace(requests);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'requests' && event.event.server === this.#server) this.#replace(event.event.requests);
  }

  #replace(requests: readonly LiveRequest[]): void {
    const ids = new Set(requests.map(({ id }) => id));
    for (const id of [...this.#cancelled]) if (!ids.has(id)) this.#cancelled.delete(id);
    this.#all = requests;
  }
}

/** Servers: the processes that have models in memory, and those that failed. */
import { SvelteMap } from 'svelte/reactivity';

import { api, type Result, type Server, type ServerMetrics, type StartRequest, type StartResponse } from '$lib/api';
import type { StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry, replace } from '$lib/events/resource.svelte';

/** Samples that are kept of a server: 15 minutes. */
const HISTORY = 900;

/** How much of a model is loaded. */
export interface LoadProgress {
  loaded_bytes: number;
  total_bytes: number;
}

/** How a process ended. */
export interface ServerExit {
  cause: string;
  message: string;
  log_tail: string[];
  at_ms: number;
}

export class ServerStore extends Resource {
  /** By id. New ones come last, so that none moves while one looks at it. */
  readonly items = new SvelteMap<string, Server>();
  /** Of those that are starting. */
  readonly progress = new SvelteMap<string, LoadProgress>();
  /** The last exit of each server since the page was opened. */
  readonly exits = new SvelteMap<string, ServerExit>();
  #samples = new SvelteMap<string, readonly ServerMetrics[]>();
  /** Failed ones that were dismissed, or replaced by another server: events about them may come later. */
  readonly #gone = new Set<string>();

  readonly list = $derived([...this.items.values()]);
  readonly running = $derived(this.list.filter((server) => !server.failure));
  readonly failed = $derived(this.list.filter((server) => server.failure));

  constructor(stream = events) {
    // The pool's events list all servers: also those that are gone without an event of their own. Which profiles a server
    // serves changes with the profiles.
    super(stream, ['servers', 'pool', 'profiles']);
  }

  /** By id, or by the name of a model or profile. One that runs is preferred to one that failed. */
  find(idOrName: string): Server | undefined {
    const named = (server: Server): boolean => server.name === idOrName || server.profiles.includes(idOrName);
    return this.items.get(idOrName) ?? this.running.find(named) ?? this.failed.find(named);
  }

  ofModel(name: string): Server[] {
    return this.list.filter((server) => server.name === name);
  }

  ofProfile(name: string): Server | undefined {
    const serves = (server: Server): boolean => server.profiles.includes(name);
    return this.running.find(serves) ?? this.failed.find(serves);
  }

  /** Measurements since the page was opened, one per second, oldest first. */
  history(id: string): readonly ServerMetrics[] {
    return this.#samples.get(id) ?? [];
  }

  async start(request: StartRequest): Promise<Result<StartResponse>> {
    const subject = request.profile ?? request.model ?? '';
    const result = await this.act(`start:${subject}`, () => api.post('/api/servers', { body: request }));
    if (result.ok && result.value.server) this.#upsert(result.value.server);
    return result;
  }

  /** Whether a start of this model or profile has not been answered yet. */
  isStarting(name: string): boolean {
    return this.isPending(`start:${name}`);
  }

  async stop(id: string, options: { now?: boolean } = {}): Promise<Result<Server>> {
    const result = await this.act(
      id,
      () => api.del('/api/servers/{id}', { params: { path: { id }, query: options } }),
      () => this.#show(id, { state: 'stopping' }),
    );
    return this.#kept(result);
  }

  async restart(id: string, options: { now?: boolean } = {}): Promise<Result<Server>> {
    const result = await this.act(
      id,
      () => api.post('/api/servers/{id}/restart', { params: { path: { id }, query: options } }),
      () => this.#show(id, { state: 'stopping' }),
    );
    return this.#kept(result);
  }

  async pin(id: string, pinned: boolean): Promise<Result<Server>> {
    const result = await this.act(
      id,
      () => api.post('/api/servers/{id}/pin', { params: { path: { id } }, body: { pinned } }),
      () => this.#show(id, { pinned }),
    );
    return this.#kept(result);
  }

  /** Takes one that failed off the list. */
  async dismiss(id: string): Promise<Result<Server>> {
    const result = await this.act(
      id,
      () => api.del('/api/servers/{id}', { params: { path: { id } } }),
      () => this.#hide(id),
    );
    // It is gone as intended, and must not come back with an event from before.
    if (!result.ok && result.problem.code === 'server_not_found') this.#hide(id);
    return result;
  }

  protected async fetch(): Promise<() => void> {
    const { servers } = await api.get('/api/servers');
    return () => this.#replaceAll(servers);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'pool') {
      const ids = new Set(event.event.servers.map((server) => server.id));
      for (const server of event.event.servers) this.#upsert(server);
      for (const id of [...this.items.keys()]) if (!ids.has(id)) this.#remove(id);
      return;
    }
    if (event.topic === 'profiles') void this.refresh();
    if (event.topic !== 'servers') return;
    const change = event.event;
    switch (change.type) {
      case 'changed':
        if (change.server.state === 'stopped') this.#remove(change.server.id);
        else this.#upsert(change.server);
        return;
      case 'loading':
        this.progress.set(change.id, { loaded_bytes: change.loaded_bytes, total_bytes: change.total_bytes });
        return;
      case 'running':
        this.#show(change.id, { running: change.running });
        return;
      case 'exited': {
        const { cause, message, log_tail } = change;
        this.exits.set(change.id, { cause, message, log_tail, at_ms: Date.now() });
        return;
      }
      case 'metrics':
        this.#measured(change.id, change.metrics);
    }
  }

  #replaceAll(servers: Server[]): void {
    const merged = servers.filter(({ id }) => !this.#gone.has(id)).map((server) => this.#withMetrics(server));
    fill(this.items, merged, (server) => server.id);
    for (const id of [...this.#samples.keys()]) if (!this.items.has(id)) this.#samples.delete(id);
    for (const server of servers) this.#forgetProgress(server);
  }

  #upsert(server: Server): void {
    if (this.#gone.has(server.id)) return;
    if (server.failure == null) this.#replaceFailed(server);
    this.items.set(server.id, this.#withMetrics(server));
    this.#forgetProgress(server);
  }

  /** A response with the next server of a model may arrive before the events about the one that failed. */
  #replaceFailed({ path, settings }: Server): void {
    const wanted = JSON.stringify(settings);
    for (const { id, ...other } of [...this.items.values()]) {
      if (other.failure == null || other.path !== path || JSON.stringify(other.settings) !== wanted) continue;
      this.#gone.add(id);
      this.#remove(id);
    }
  }

  /** Removes a server that must not come back. Returns what puts it back. */
  #hide(id: string): () => void {
    const undo = removeEntry(this.items, id);
    this.#gone.add(id);
    return () => {
      this.#gone.delete(id);
      undo();
    };
  }

  #remove(id: string): void {
    this.items.delete(id);
    this.progress.delete(id);
    this.#samples.delete(id);
  }

  /** Changes some fields of a server that is listed. Returns what takes them back. */
  #show(id: string, fields: Partial<Server>): () => void {
    const server = this.items.get(id);
    return server === undefined ? () => undefined : replace(this.items, id, { ...server, ...fields });
  }

  #measured(id: string, metrics: ServerMetrics): void {
    const server = this.items.get(id);
    const samples = this.#samples.get(id) ?? [];
    const last = samples.at(-1);
    if (server === undefined || (last !== undefined && last.at_ms >= metrics.at_ms)) return;
    this.items.set(id, { ...server, metrics });
    this.#samples.set(id, [...samples.slice(1 - HISTORY), metrics]);
  }

  /** Lists have only the memory of a process; what was measured last has everything. */
  #withMetrics(server: Server): Server {
    const measured = this.#samples.get(server.id)?.at(-1);
    return server.pid && measured ? { ...server, metrics: measured } : server;
  }

  #forgetProgress({ id, state }: Server): void {
    if (state !== 'starting') this.progress.delete(id);
  }

  /** Shows what a response says, unless the server is gone by now. */
  #kept(result: Result<Server>): Result<Server> {
    if (result.ok && this.items.has(result.value.id)) {
      if (result.value.state === 'stopped') this.#remove(result.value.id);
      else this.#upsert(result.value);
    }
    return result;
  }
}

export const servers = new ServerStore();

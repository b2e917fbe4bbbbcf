/** Models on this machine. */
import { SvelteMap } from 'svelte/reactivity';

import {
  api,
  type LocalModel,
  type ModelDetails,
  type Profile,
  type RemovedModel,
  type Result,
  type VerifiedModel,
} from '$lib/api';
import { attempt, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry } from '$lib/events/resource.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';

export class ModelStore extends Resource {
  /** By name. */
  readonly items = new SvelteMap<string, LocalModel>();
  readonly list = $derived([...this.items.values()]);

  constructor(stream = events) {
    super(stream, ['models']);
  }

  find(name: string): LocalModel | undefined {
    return this.items.get(name);
  }

  /** Whether a server has it in memory. `LocalModel.loaded` is that of the snapshot. */
  isLoaded(name: string): boolean {
    return servers.ofModel(name).some((server) => !server.failure);
  }

  /** `LocalModel.profiles` are those of the snapshot. */
  profilesOf(name: string): Profile[] {
    return profiles.ofModel(name);
  }

  /** Files, the model card and memory plans, also of a model that is only on the hub. */
  details(name: string, signal?: AbortSignal): Promise<Result<ModelDetails>> {
    return attempt(() => api.get('/api/models/{id}', { params: { path: { id: name } }, signal }));
  }

  /** Removes a model, or one revision of it. It is rejected while something uses it, unless it is forced. */
  remove(name: string, options: { revision?: string; force?: boolean } = {}): Promise<Result<RemovedModel>> {
    const isWhole = options.revision === undefined;
    return this.act(
      name,
      () => api.del('/api/models/{id}', { params: { path: { id: name }, query: options } }),
      isWhole ? () => removeEntry(this.items, name) : undefined,
    );
  }

  /** Reads all files and compares them with their digests, which takes a while. */
  verify(name: string): Promise<Result<VerifiedModel>> {
    return this.act(`verify:${name}`, () => api.post('/api/models/{id}/verify', { params: { path: { id: name } } }));
  }

  isVerifying(name: string): boolean {
    return this.isPending(`verify:${name}`);
  }

  protected async fetch(): Promise<() => void> {
    const { models } = await api.get('/api/models/local');
    return () => fill(this.items, models, (model) => model.name);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'models') return;
    if (event.event.type === 'changed') this.items.set(event.event.model.name, event.event.model);
    else this.items.delete(event.event.name);
  }
}

export const models = new ModelStore();

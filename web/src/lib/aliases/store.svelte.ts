/** Aliases: other names for profiles and models. */
import { SvelteMap } from 'svelte/reactivity';

import { api, mapResult, type Alias, type Result, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry } from '$lib/events/resource.svelte';

export class AliasStore extends Resource {
  /** By name. */
  readonly items = new SvelteMap<string, Alias>();
  readonly list = $derived([...this.items.values()]);

  constructor(stream = events) {
    super(stream, ['aliases']);
  }

  /** Adds an alias, or changes the target of the one with this name. */
  async set(name: string, target: string): Promise<Result<Alias>> {
    const result = await this.act(name, () => api.post('/api/aliases', { body: { name, target } }));
    if (result.ok) this.items.set(name, result.value);
    return result;
  }

  async remove(name: string): Promise<Result<null>> {
    const result = await this.act(
      name,
      () => api.del('/api/aliases/{name}', { params: { path: { name } } }),
      () => removeEntry(this.items, name),
    );
    return mapResult(result, () => null);
  }

  protected async fetch(): Promise<() => void> {
    const { aliases } = await api.get('/api/aliases');
    return () => fill(this.items, aliases, (alias) => alias.name);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'aliases') return;
    if (event.event.type === 'changed') this.items.set(event.event.alias.name, event.event.alias);
    else this.items.delete(event.event.name);
  }
}

export const aliases = new AliasStore();

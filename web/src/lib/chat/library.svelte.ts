/** Personas and prompts: what a user chooses in place of writing it again. */
import { SvelteMap } from 'svelte/reactivity';

import {
  api,
  mapResult,
  type Persona,
  type PersonaConfig,
  type Prompt,
  type PromptConfig,
  type Result,
  type StreamEvent,
} from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry } from '$lib/events/resource.svelte';

/** They change seldom, and have no topic: `reload` reads what another device has changed. */
abstract class Library<T extends { id: string; config: { name: string } }, Config> extends Resource {
  readonly items = new SvelteMap<string, T>();
  readonly list = $derived(
    [...this.items.values()].sort((one, other) => one.config.name.localeCompare(other.config.name)),
  );

  constructor(stream = events) {
    super(stream, []);
  }

  find(id: string | null | undefined): T | undefined {
    return this.items.get(id ?? '');
  }

  /** Adds one, or changes the one with this id. */
  async save(id: string | null, config: Config): Promise<Result<T>> {
    const result = await this.act(id ?? 'create', () => (id === null ? this.create(config) : this.update(id, config)));
    if (result.ok) this.items.set(result.value.id, result.value);
    return result;
  }

  async remove(id: string): Promise<Result<null>> {
    const result = await this.act(
      id,
      () => this.destroy(id),
      () => removeEntry(this.items, id),
    );
    return mapResult(result, () => null);
  }

  protected abstract create(config: Config): Promise<T>;
  protected abstract update(id: string, config: Config): Promise<T>;
  protected abstract destroy(id: string): Promise<unknown>;

  protected reduce(_event: StreamEvent): void {
    // There are none.
  }
}

export class PersonaStore extends Library<Persona, PersonaConfig> {
  protected async fetch(): Promise<() => void> {
    const { personas } = await api.get('/api/personas');
    return () => fill(this.items, personas, ({ id }) => id);
  }

  protected create(config: PersonaConfig): Promise<Persona> {
    return api.post('/api/personas', { body: config });
  }

  protected update(id: string, config: PersonaConfig): Promise<Persona> {
    return api.put('/api/personas/{id}', { params: { path: { id } }, body: config });
  }

  protected destroy(id: string): Promise<unknown> {
    return api.del('/api/personas/{id}', { params: { path: { id } } });
  }
}

export class PromptStore extends Library<Prompt, PromptConfig> {
  protected async fetch(): Promise<() => void> {
    const { prompts } = await api.get('/api/prompts');
    return () => fill(this.items, prompts, ({ id }) => id);
  }

  protected create(config: PromptConfig): Promise<Prompt> {
    return api.post('/api/prompts', { body: config });
  }

  protected update(id: string, config: PromptConfig): Promise<Prompt> {
    return api.put('/api/prompts/{id}', { params: { path: { id } }, body: config });
  }

  protected destroy(id: string): Promise<unknown> {
    return api.del('/api/prompts/{id}', { params: { path: { id } } });
  }
}

export const personas = new PersonaStore();
export const prompts = new PromptStore();

/** Profiles: saved configurations of models. */
import { SvelteMap } from 'svelte/reactivity';

import {
  api,
  attempt,
  mapResult,
  type ExportResponse,
  type ImportRequest,
  type ImportResponse,
  type Profile,
  type ProfileConfig,
  type ProfileFormat,
  type Result,
  type StreamEvent,
} from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, removeEntry, replace } from '$lib/events/resource.svelte';

export class ProfileStore extends Resource {
  /** By id, in the order of their creation. */
  readonly items = new SvelteMap<string, Profile>();
  readonly list = $derived([...this.items.values()]);

  constructor(stream = events) {
    super(stream, ['profiles']);
  }

  find(idOrName: string): Profile | undefined {
    return this.items.get(idOrName) ?? this.list.find((profile) => profile.config.name === idOrName);
  }

  ofModel(name: string): Profile[] {
    return this.list.filter((profile) => profile.config.model === name);
  }

  async create(config: ProfileConfig): Promise<Result<Profile>> {
    return this.#kept(await this.act('new', () => api.post('/api/profiles', { body: config })));
  }

  /** Replaces a profile. Changed load settings restart its server. */
  async update(id: string, config: ProfileConfig): Promise<Result<Profile>> {
    const before = this.items.get(id);
    const result = await this.act(
      id,
      () => api.put('/api/profiles/{id}', { params: { path: { id } }, body: config }),
      before && (() => replace(this.items, id, { ...before, config })),
    );
    return this.#kept(result);
  }

  async remove(id: string): Promise<Result<null>> {
    const result = await this.act(
      id,
      () => api.del('/api/profiles/{id}', { params: { path: { id } } }),
      () => removeEntry(this.items, id),
    );
    return mapResult(result, () => null);
  }

  /** Copies a profile. The copy has no port. */
  async duplicate(id: string, name?: string): Promise<Result<Profile>> {
    const request = (): Promise<Profile> =>
      api.post('/api/profiles/{id}/duplicate', { params: { path: { id } }, body: { name } });
    return this.#kept(await this.act(id, request));
  }

  /** A port that no profile has and no program listens on. */
  async nextPort(): Promise<Result<number>> {
    return mapResult(await attempt(() => api.get('/api/profiles/next-port')), ({ port }) => port);
  }

  async import(request: ImportRequest): Promise<Result<ImportResponse>> {
    const result = await this.act('new', () => api.post('/api/profiles/import', { body: request }));
    if (result.ok) this.#add(result.value.profile);
    return result;
  }

  export(id: string, format: ProfileFormat): Promise<Result<ExportResponse>> {
    return attempt(() => api.get('/api/profiles/{id}/export', { params: { path: { id }, query: { format } } }));
  }

  protected async fetch(): Promise<() => void> {
    const { profiles } = await api.get('/api/profiles');
    return () => fill(this.items, profiles, (profile) => profile.id);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'profiles') return;
    if (event.event.type === 'changed') this.#add(event.event.profile);
    else this.items.delete(event.event.id);
  }

  /** Not in place of a later state. */
  #add(profile: Profile): void {
    const known = this.items.get(profile.id);
    if (known === undefined || known.updated_at_ms <= profile.updated_at_ms) this.items.set(profile.id, profile);
  }

  #kept(result: Result<Profile>): Result<Profile> {
    if (result.ok) this.#add(result.value);
    return result;
  }
}

export const profiles = new ProfileStore();

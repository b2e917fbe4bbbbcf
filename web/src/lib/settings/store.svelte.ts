/** Settings of the gateway, each with the source of its value. */
import { SvelteMap } from 'svelte/reactivity';

import { api, mapResult, type Result, type Setting, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';
import { fill, replace } from '$lib/events/resource.svelte';

export class SettingStore extends Resource {
  /** By key. */
  readonly items = new SvelteMap<string, Setting>();
  readonly list = $derived([...this.items.values()]);
  /** Changed, but used only after a restart of the gateway. */
  readonly pendingRestart = $derived(this.list.filter((setting) => setting.restart_pending));

  constructor(stream = events) {
    super(stream, ['settings']);
  }

  get(key: string): Setting | undefined {
    return this.items.get(key);
  }

  /** Changes all of these settings, or none. Null resets one to its default. */
  async change(values: Record<string, unknown>): Promise<Result<Setting[]>> {
    const result = await this.act(
      Object.keys(values).join(),
      () => api.patch('/api/settings', { body: { values } }),
      () => this.#show(values),
    );
    return this.#kept(mapResult(result, ({ settings }) => settings));
  }

  async reset(keys: string[]): Promise<Result<Setting[]>> {
    const result = await this.act(
      keys.join(),
      () => api.post('/api/settings/reset', { body: { keys } }),
      () => this.#show(Object.fromEntries(keys.map((key) => [key, null]))),
    );
    return this.#kept(mapResult(result, ({ settings }) => settings));
  }

  protected async fetch(): Promise<() => void> {
    const { settings } = await api.get('/api/settings');
    return () => fill(this.items, settings, (setting) => setting.key);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'settings') this.items.set(event.event.key, event.event);
  }

  #show(values: Record<string, unknown>): () => void {
    const undos = Object.entries(values).map(([key, value]) => {
      const setting = this.items.get(key);
      if (setting === undefined) return () => undefined;
      const shown: Setting =
        value === null
          ? { ...setting, value: setting.default, source: 'default' }
          : { ...setting, value, source: 'database' };
      return replace(this.items, key, shown);
    });
    return () => undos.forEach((undo) => undo());
  }

  #kept(result: Result<Setting[]>): Result<Setting[]> {
    if (result.ok) for (const setting of result.value) this.items.set(setting.key, setting);
    return result;
  }
}

export const settings = new SettingStore();

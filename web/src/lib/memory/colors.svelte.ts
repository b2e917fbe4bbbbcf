// Colors: the same one in strip, tiles and charts. Profiles have them, also for their servers; models without a profile get them in
// the order in which this browser saw the models.
import { SvelteMap } from 'svelte/reactivity';
import type { Profile, Server } from '$lib/api';
import { profiles } from '$lib/profiles/store.svelte';
import type { ModelColor } from '$lib/ui';
import { modelColor as known } from '$lib/ui/styles';

const KEY = 'mlxm.model-colors';
const COLORS: readonly ModelColor[] = [1, 2, 3, 4, 5, 6, 7, 8];
/** Older ones are forgotten, and get another color when they are seen again. */
const MOST = 200;

export class Colors {
  #order = new SvelteMap<string, number>();
  #storage: Pick<Storage, 'getItem' | 'setItem'> | null;

  constructor(storage: Pick<Storage, 'getItem' | 'setItem'> | null) {
    this.#storage = storage;
    for (const [index, name] of this.#stored().entries()) this.#order.set(name, index);
  }

  /** The color; undefined for a model that has none yet. */
  of(model: string): ModelColor | undefined {
    const index = this.#order.get(model);
    return index === undefined ? undefined : COLORS[index % COLORS.length];
  }

  /** Gives colors to models that have none. Not while rendering: it changes state. */
  assign(models: readonly string[]): void {
    const added = models.filter((model) => !this.#order.has(model));
    if (added.length === 0) return;
    for (const model of added) this.#order.set(model, this.#order.size);
    try {
      this.#storage?.setItem(KEY, JSON.stringify([...this.#order.keys()].slice(0, MOST)));
    } catch {
      // Full or forbidden: the colors last as long as the page.
    }
  }

  #stored(): string[] {
    try {
      const names: unknown = JSON.parse(this.#storage?.getItem(KEY) ?? '[]');
      return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
    } catch {
      return [];
    }
  }
}

export const colors = new Colors(typeof localStorage === 'undefined' ? null : localStorage);

/** The color of a profile. */
export function profileColor(profile: Profile): ModelColor | undefined {
  return known(profile.config.color);
}

/** The color of a model: that of its first profile, if it has one. */
export function modelColor(model: string): ModelColor | undefined {
  const [profile] = profiles.ofModel(model);
  return (profile && profileColor(profile)) ?? colors.of(model);
}

/** The color of a server: that of the first profile that it serves, or else of its model. */
export function serverColor({ name, profiles: served }: Pick<Server, 'name' | 'profiles'>): ModelColor | undefined {
  const profile = served[0] === undefined ? undefined : profiles.find(served[0]);
  return (profile && profileColor(profile)) ?? modelColor(name);
}

/** The color of a server in CSS, for `style:--model`. */
export function serverPaint(server: Pick<Server, 'name' | 'profiles'>): string {
  const color = serverColor(server);
  return color === undefined ? 'var(--ink-3)' : `var(--s${color})`;
}

// Dry runs of the models that are on the screen, and again when the pool has changed. A dry run reads the headers of the weights
// in a process of its own the first time, so only a few run at once.

import { SvelteMap } from 'svelte/reactivity';
import { pool } from '$lib/pool/store.svelte';
import { startReason } from './can-start';
import type { ModelEntry } from './entry';
import { fitOfPlan, fitOfSize, type Fit } from './fit';
import { models } from './store.svelte';
import { Turns } from './turns';

const MAX_RUNNING = 2;

class Fits {
  readonly #fits = new SvelteMap<string, Fit>();
  readonly #turns = new Turns(MAX_RUNNING, (name) => this.#compute(name));

  get(name: string): Fit | null {
    return this.#fits.get(name) ?? null;
  }

  /** What is known of it: of a model that can be started, its dry run, or null until that is there. */
  of(entry: ModelEntry): Fit | null {
    if (entry.characteristics?.supported === false) {
      const detail = entry.characteristics.unsupported_reason ?? 'This version cannot load its architecture.';
      return { state: 'unsupported', label: 'Not supported', detail, bytes: null };
    }
    if (!entry.local) return fitOfSize(entry.sizeBytes, pool.budgetBytes);
    const reason = startReason(entry.local);
    if (reason === null && models.isLoaded(entry.name)) {
      return { state: 'ready', label: 'In memory', detail: 'It is in memory already.', bytes: null };
    }
    if (reason === null) return this.get(entry.name);
    return {
      state: 'incomplete',
      label: entry.local.complete ? 'Not readable' : 'Incomplete',
      detail: reason,
      bytes: null,
    };
  }

  /** Whether the pool would reject it; null if that is not known. */
  isRejected(name: string): boolean | null {
    const fit = this.#fits.get(name);
    return fit && fit.state !== 'unknown' ? fit.state === 'too_large' : null;
  }

  /** Computes it for the present state of the pool. Call it in an effect: it depends on that state, and on the files. */
  want(name: string): void {
    const state = [pool.budgetBytes, pool.usedBytes, models.find(name)?.size_bytes].join(' ');
    if (pool.budgetBytes > 0) this.#turns.want(name, state);
  }

  async #compute(name: string): Promise<void> {
    const result = await pool.plan({ model: name });
    const unknown = (detail: string): Fit => ({ state: 'unknown', label: 'Fit unknown', detail, bytes: null });
    this.#fits.set(name, result.ok ? fitOfPlan(result.value) : unknown(result.problem.detail));
  }
}

export const fits = new Fits();

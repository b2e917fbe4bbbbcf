// All about one model, read again when it changes on this machine.

import type { ModelDetails, Problem } from '$lib/api';
import { models } from './store.svelte';

export class DetailsView {
  details = $state.raw<ModelDetails | null>(null);
  problem = $state.raw<Problem | null>(null);
  isLoading = $state(true);
  #name = '';

  /** Reads it, and keeps what is shown until then. Returns what stops it: for an effect. */
  load(name: string): () => void {
    const controller = new AbortController();
    if (name !== this.#name) this.details = null;
    this.#name = name;
    this.isLoading = true;
    void this.#read(name, controller.signal);
    return () => controller.abort();
  }

  async #read(name: string, signal: AbortSignal): Promise<void> {
    const result = await models.details(name, signal);
    if (signal.aborted) return;
    this.isLoading = false;
    this.problem = result.ok ? null : result.problem;
    if (result.ok) this.details = result.value;
  }
}

/** Changes when the files of a model on this machine do. */
export function filesKey(name: string): string {
  const model = models.find(name);
  if (!model) return '';
  return [model.complete, model.size_bytes, ...model.revisions.map((revision) => revision.commit)].join(' ');
}

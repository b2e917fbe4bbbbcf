/** The configuration of one client, read again when what it depends on changes. */
import type { ClientSetup, Problem } from '$lib/api';

import { clients, type Roles } from './store.svelte';

export class SetupView {
  setup = $state.raw<ClientSetup | null>(null);
  problem = $state.raw<Problem | null>(null);
  isLoading = $state(false);

  /** Reads it, and keeps what is shown until then. Returns what stops it: for an effect. */
  load(client: string, roles: Roles): () => void {
    const controller = new AbortController();
    void this.#read(client, roles, controller.signal);
    return () => {
      controller.abort();
      this.isLoading = false;
    };
  }

  async #read(client: string, roles: Roles, signal: AbortSignal): Promise<void> {
    this.isLoading = true;
    const result = await clients.setup(client, roles, signal);
    if (signal.aborted) return;
    this.isLoading = false;
    this.problem = result.ok ? null : result.problem;
    if (result.ok) this.setup = result.value;
  }
}

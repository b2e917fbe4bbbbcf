// Memory plans of running servers by purpose. A server has only the sum; the plan of a start with its settings has the parts.
import { SvelteMap } from 'svelte/reactivity';
import type { MemoryPurposes, PoolPlan, PoolPlanRequest, Result, Server } from '$lib/api';
import { pool } from '$lib/pool/store.svelte';

type Plan = (request: PoolPlanRequest) => Promise<Result<PoolPlan>>;

export class Purposes {
  /** By the id of the server. */
  readonly known = new SvelteMap<string, MemoryPurposes>();
  #asked = new Set<string>();
  #plan: Plan;

  constructor(plan: Plan = (request) => pool.plan(request)) {
    this.#plan = plan;
  }

  /** Asks once for each server that is new, and forgets those that are gone. */
  update(servers: readonly Server[]): void {
    const ids = new Set(servers.map((server) => server.id));
    for (const id of [...this.#asked]) if (!ids.has(id)) this.#forget(id);
    for (const server of servers) {
      if (this.#asked.has(server.id)) continue;
      this.#asked.add(server.id);
      void this.#ask(server);
    }
  }

  async #ask(server: Server): Promise<void> {
    // The settings of a profile have parts that a server does not show, such as the level of its log.
    const profile = server.profiles[0];
    const request = profile === undefined ? { model: server.name, settings: server.settings } : { profile };
    const result = await this.#plan(request);
    if (!this.#asked.has(server.id)) return;
    if (!result.ok) {
      // Asked again with the next change of the servers.
      if (result.problem.isUnreachable) this.#asked.delete(server.id);
      return;
    }
    const { memory, size } = result.value;
    // Another size is the plan of another start.
    if (memory && size?.plan_bytes === server.size.plan_bytes) this.known.set(server.id, memory);
  }

  #forget(id: string): void {
    this.#asked.delete(id);
    this.known.delete(id);
  }
}

export const purposes = new Purposes();

/** What a start would do: asked again after each change of its settings or of the pool. */
import { untrack } from 'svelte';

import type { PoolPlan, PoolPlanRequest, Problem } from '$lib/api';
import { pool } from '$lib/pool/store.svelte';

/** A number that is typed digit by digit is one question. */
const DELAY_MS = 200;

export class LivePlan {
  /** The latest plan. It stays while the next one is computed. */
  plan = $state.raw<PoolPlan | null>(null);
  /** Why there is no plan. */
  problem = $state.raw<Problem | null>(null);
  /** Whether the plan is that of an earlier question. */
  isPending = $state(false);

  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;

  /** Asks about another start; about none with null. */
  ask(request: PoolPlanRequest | null): void {
    this.stop();
    if (request === null) {
      this.plan = null;
      this.problem = null;
      this.isPending = false;
      return;
    }
    this.isPending = true;
    // The first question is not typed: its plan is part of the page.
    const isFirst = this.plan === null && this.problem === null;
    this.#timer = setTimeout(() => void this.#load(request), isFirst ? 0 : DELAY_MS);
  }

  /** Ends the question that is on its way. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  async #load(request: PoolPlanRequest): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const result = await pool.plan(request, abort.signal);
    if (abort.signal.aborted) return;
    this.isPending = false;
    this.plan = result.ok ? result.value : null;
    this.problem = result.ok ? null : result.problem;
  }
}

/** The plan of a start that a component derives from its state; of none with null. Call it while the component is initialized. */
export function livePlan(request: () => PoolPlanRequest | null): LivePlan {
  const live = new LivePlan();
  // Equal for changes that do not concern the memory.
  const key = $derived(JSON.stringify(request()));
  $effect(() => {
    // A change of the pool changes the plan, too.
    void [pool.usedBytes, pool.budgetBytes];
    const wanted = JSON.parse(key) as PoolPlanRequest | null;
    untrack(() => live.ask(wanted));
    return () => live.stop();
  });
  return live;
}

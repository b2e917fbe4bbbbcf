/** The memory budget, and what a start would do to it. */
import { untrack } from 'svelte';

import {
  api,
  attempt,
  type PoolPlan,
  type PoolPlanRequest,
  type PoolStatus,
  type Problem,
  type Result,
} from '$lib/api';
import type { StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';

/** The pointer crosses many models on its way to one. */
const PREVIEW_DELAY_MS = 80;

/** A start that is only shown. `plan` and `problem` are null until the gateway has answered. */
export interface Ghost {
  request: PoolPlanRequest;
  plan: PoolPlan | null;
  problem: Problem | null;
}

export class PoolStore extends Resource {
  #pool = $state.raw<PoolStatus | null>(null);
  #ghost = $state.raw<Ghost | null>(null);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;
  /** Plans in the current state of the pool, by request. */
  #plans = new Map<string, PoolPlan>();

  constructor(stream = events) {
    super(stream, ['pool']);
  }

  /** Memory for all servers together; 0 before the snapshot. */
  get budgetBytes(): number {
    return this.#pool?.budget_bytes ?? 0;
  }

  /** Memory plans of all servers. */
  get usedBytes(): number {
    return this.#pool?.used_bytes ?? 0;
  }

  get freeBytes(): number {
    return Math.max(0, this.budgetBytes - this.usedBytes);
  }

  /** Requests that wait for memory. */
  get waiting(): number {
    return this.#pool?.waiting ?? 0;
  }

  /** What is being previewed. */
  get ghost(): Ghost | null {
    return this.#ghost;
  }

  /** What a start would do. */
  plan(request: PoolPlanRequest, signal?: AbortSignal): Promise<Result<PoolPlan>> {
    return attempt(() => api.post('/api/pool/plan', { body: request, signal }));
  }

  /** Shows what a start would do, while the pointer or the focus is on it; null ends it. */
  preview(request: PoolPlanRequest | null): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    if (request === null) {
      this.#ghost = null;
      return;
    }
    // An effect may call this.
    const shown = untrack(() => this.#ghost);
    const known = this.#plans.get(JSON.stringify(request)) ?? null;
    const isSame = JSON.stringify(shown?.request) === JSON.stringify(request);
    this.#ghost = { request, plan: known ?? (isSame ? (shown?.plan ?? null) : null), problem: null };
    if (known === null) this.#timer = setTimeout(() => void this.#ask(request), PREVIEW_DELAY_MS);
  }

  protected async fetch(): Promise<() => void> {
    const pool = await api.get('/api/pool');
    return () => this.#changed(pool);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic === 'pool') this.#changed(event.event);
  }

  #changed(pool: PoolStatus): void {
    this.#pool = pool;
    this.#plans.clear();
    if (this.#ghost !== null) this.preview(this.#ghost.request);
  }

  async #ask(request: PoolPlanRequest): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const result = await this.plan(request, abort.signal);
    if (abort.signal.aborted) return;
    if (result.ok) this.#plans.set(JSON.stringify(request), result.value);
    this.#ghost = {
      request,
      plan: result.ok ? result.value : null,
      problem: result.ok ? null : result.problem,
    };
  }
}

export const pool = new PoolStore();

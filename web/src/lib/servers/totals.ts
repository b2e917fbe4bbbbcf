// Sums over all servers. No Svelte inside.
import type { Server } from '$lib/api';

export interface Totals {
  servers: number;
  running: number;
  /** Requests in the queues of servers; those that wait in the gateway are a number of the pool. */
  waiting: number;
  tokensPerSecond: number;
  requests: number;
  tokens: number;
}

export function totals(servers: readonly Server[]): Totals {
  const sums: Totals = { servers: 0, running: 0, waiting: 0, tokensPerSecond: 0, requests: 0, tokens: 0 };
  for (const { running, metrics } of servers) {
    sums.servers += 1;
    sums.running += running;
    sums.waiting += metrics?.waiting ?? 0;
    sums.tokensPerSecond += metrics?.tokens_per_second ?? 0;
    sums.requests += metrics?.requests_total ?? 0;
    sums.tokens += (metrics?.prompt_tokens_total ?? 0) + (metrics?.completion_tokens_total ?? 0);
  }
  return sums;
}

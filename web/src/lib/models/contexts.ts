// Memory by context length: the rows of the chart.

import type { MemoryPurposes, ServerSize } from '$lib/api';

export interface ContextRow {
  contextLength: number;
  /** Weights, activations and fixed overhead: the same for every context. */
  fixedBytes: number;
  /** The KV cache of one context. */
  contextBytes: number;
  /** The KV cache of a second context, if the model is started with one where memory allows. */
  secondBytes: number;
  /** All of one context. */
  totalBytes: number;
  /** Whether one context is within the budget, and within free memory. */
  fits: 'free' | 'budget' | 'no';
}

/** One row for each context length, the shortest first. `fixed` is from a dry run, which tells the purposes of one size. */
export function contextRows(
  sizes: ServerSize[],
  fixed: MemoryPurposes | null,
  budgetBytes: number,
  freeBytes: number,
): ContextRow[] {
  const byContext = new Map<number, ServerSize[]>();
  for (const size of sizes) {
    byContext.set(size.context_length, [...(byContext.get(size.context_length) ?? []), size]);
  }
  const fixedBytes = fixed === null ? fixedOf(sizes) : fixed.weights_bytes + fixed.scratch_bytes;
  const rows = [...byContext].map(([contextLength, group]): ContextRow => {
    const plans = group.map((size) => size.plan_bytes);
    const totalBytes = Math.min(...plans);
    const own = Math.min(fixedBytes, totalBytes);
    return {
      contextLength,
      fixedBytes: own,
      contextBytes: totalBytes - own,
      secondBytes: Math.max(...plans) - totalBytes,
      totalBytes,
      fits: totalBytes <= freeBytes ? 'free' : totalBytes <= budgetBytes ? 'budget' : 'no',
    };
  });
  return rows.sort((one, other) => one.contextLength - other.contextLength);
}

/** What all sizes have in common: their plans grow linearly with the tokens of the cache. */
function fixedOf(sizes: ServerSize[]): number {
  const ordered = [...sizes].sort((one, other) => one.kv_pool_tokens - other.kv_pool_tokens);
  const [first, last] = [ordered[0], ordered[ordered.length - 1]];
  if (!first || !last || first.kv_pool_tokens === last.kv_pool_tokens) return 0;
  const slope = (last.plan_bytes - first.plan_bytes) / (last.kv_pool_tokens - first.kv_pool_tokens);
  return Math.max(0, Math.round(first.plan_bytes - slope * first.kv_pool_tokens));
}

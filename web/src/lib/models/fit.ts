// Whether a model fits: exactly from the pool's dry run, or estimated from its size on the hub.

import { bytes as sizeText } from '$lib/format';
import type { PoolPlan } from '$lib/api';

export type FitState =
  'ready' | 'fits' | 'evicts' | 'waits' | 'tight' | 'too_large' | 'unsupported' | 'incomplete' | 'unknown';

export interface Fit {
  state: FitState;
  /** One or two words. */
  label: string;
  /** One sentence with the numbers. */
  detail: string;
  /** Memory that it needs, if that is known. */
  bytes: number | null;
}

/** KV cache and activations of a small context, relative to the weights. */
const OVERHEAD_RATIO = 0.1;
/** The part of both that does not depend on the weights. */
const OVERHEAD_BYTES = 300e6;
/** Up to this part of the budget, a context of useful length fits in addition. */
const COMFORTABLE = 0.85;

export function fitOfPlan(plan: PoolPlan): Fit {
  const bytes = plan.size?.plan_bytes ?? null;
  const detail = plan.message;
  switch (plan.outcome) {
    case 'ready':
      return { state: 'ready', label: 'In memory', detail, bytes };
    case 'fits':
      return { state: 'fits', label: 'Fits', detail, bytes };
    case 'evicts':
      return { state: 'evicts', label: `Stops ${holders(plan)}`, detail, bytes };
    case 'waits':
      return { state: 'waits', label: 'Waits', detail, bytes };
    case 'rejected':
      return {
        state: 'too_large',
        label: plan.code === 'memory_pinned' ? 'Pinned models are in the way' : 'Too large',
        detail,
        bytes,
      };
  }
}

function holders(plan: PoolPlan): string {
  const count = plan.holders.length;
  return count === 1 ? '1 idle model' : `${count} idle models`;
}

/** Memory that a model of this size needs with a short context. */
export function estimate(weightsBytes: number): number {
  return weightsBytes * (1 + OVERHEAD_RATIO) + OVERHEAD_BYTES;
}

/** The largest weights that a search for models that fit accepts. */
export function largestWeights(budgetBytes: number): number {
  return Math.max(0, Math.floor((budgetBytes - OVERHEAD_BYTES) / (1 + OVERHEAD_RATIO)));
}

export function fitOfSize(weightsBytes: number | null, budgetBytes: number | null): Fit {
  if (weightsBytes === null || weightsBytes <= 0) {
    return unknown('The hub does not know the size of this model.');
  }
  const bytes = estimate(weightsBytes);
  if (budgetBytes === null || budgetBytes <= 0) return unknown('The memory budget is not known.');
  const numbers = `About ${sizeText(bytes)} of ${sizeText(budgetBytes)}, estimated from its weights.`;
  if (bytes > budgetBytes) return { state: 'too_large', label: 'Too large', detail: numbers, bytes };
  if (bytes > budgetBytes * COMFORTABLE) {
    return {
      state: 'tight',
      label: 'Short context only',
      detail: `${numbers} Little is left for the context.`,
      bytes,
    };
  }
  return { state: 'fits', label: 'Should fit', detail: numbers, bytes };
}

function unknown(detail: string): Fit {
  return { state: 'unknown', label: 'Fit unknown', detail, bytes: null };
}

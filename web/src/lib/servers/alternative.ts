// A start that fits in place of one that does not. No Svelte inside.
import type { LoadSettings, PoolPlan, StartRequest } from '$lib/api';
import { tokens } from '$lib/format';
import { smallerContext, withContext } from './remedy';

/** The same start with the largest usual context that fits; null if the plan does not say one. `load`: the profile's settings. */
export function smallerStart(request: StartRequest, plan: PoolPlan, load: LoadSettings = {}): StartRequest | null {
  const largest = plan.largest_context;
  if (plan.outcome !== 'rejected' || typeof largest !== 'number') return null;
  const contextLength = smallerContext(largest + 1);
  if (contextLength === null) return null;
  return { ...request, settings: withContext(request.settings ?? load, contextLength) };
}

/** The context of a start, such as `16k`. */
export function context(request: StartRequest): string {
  return tokens(request.settings?.context_length ?? 0);
}

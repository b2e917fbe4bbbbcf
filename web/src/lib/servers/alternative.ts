// A start that fits in place of one that does not. No Svelte inside.
import type { LoadSettings, PoolPlan, PoolPlanRequest, Result, StartRequest } from '$lib/api';
import { tokens } from '$lib/format';
import { CONTEXTS, smallerContext, withContext } from './remedy';

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

/** A start that waits for memory. */
export interface WaitingStart {
  model: string;
  load: LoadSettings;
  /** As the settings say, or as the model has it. */
  contextLength: number;
}

/** The longest usual context with which a start would not wait; null if there is none. `plan`: asks the pool. */
export async function contextThatFits(
  { model, load, contextLength }: WaitingStart,
  plan: (request: PoolPlanRequest) => Promise<Result<PoolPlan>>,
): Promise<number | null> {
  for (const context of CONTEXTS.filter((each) => each < contextLength)) {
    const result = await plan({ model, settings: withContext(load, context) });
    if (!result.ok) return null;
    if (['ready', 'fits', 'evicts'].includes(result.value.outcome)) return context;
  }
  return null;
}

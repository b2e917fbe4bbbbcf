// The next larger context of a model, and what it costs. No Svelte inside.
import type { LoadSettings, PoolPlan, PoolPlanRequest, StartRequest } from '$lib/api';
import { bytes } from '$lib/format';
import { withContext } from '$lib/servers/remedy';
import type { Target } from './targets';

export interface Raise {
  contextLength: number;
  /** For the pool's dry run, and for the start. */
  request: StartRequest & PoolPlanRequest;
}

/** Twice the context, as far as the model goes; null for a model that is not in memory, or has all of its context. */
export function largerContext(target: Target | null): Raise | null {
  const server = target?.server;
  if (!target || !server) return null;
  const current = server.size.context_length;
  const most = target.local?.characteristics?.context_length ?? current;
  const contextLength = Math.min(current * 2, most);
  if (contextLength <= current) return null;
  const settings: LoadSettings = withContext(server.settings, contextLength);
  const subject = target.profile === null ? { model: target.model } : { profile: target.profile.config.name };
  return { contextLength, request: { ...subject, settings } };
}

/** ` (+1.2 GB, fits)`, after the number of tokens; empty while the plan is not known. */
export function costText(plan: PoolPlan | null, currentBytes: number): string {
  if (plan === null) return '';
  const more = Math.max(0, (plan.size?.plan_bytes ?? currentBytes) - currentBytes);
  const outcome = {
    ready: 'fits',
    fits: 'fits',
    evicts: 'stops idle models',
    waits: 'waits',
    rejected: 'does not fit',
  };
  return ` (+${bytes(more)}, ${outcome[plan.outcome]})`;
}

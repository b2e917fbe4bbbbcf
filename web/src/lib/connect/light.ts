// The light of a client: whether it reaches the gateway, and how well. No Svelte inside.
import type { ClientActivity } from '$lib/api';
import { integer, percent, plural } from '$lib/format';
import type { Tone } from '$lib/ui';

export interface Light {
  tone: Tone;
  label: string;
  detail: string | null;
}

/** From this part of the context on, long prompts are a problem soon. */
const NEARLY_FULL = 0.85;

/** A client that has disconnected: agents do so when their user stops them. */
const CLIENT_CLOSED_REQUEST = 499;

/** What the light shows. `contextLength` is that of the model, if it is known. */
export function light(activity: ClientActivity | undefined, contextLength: number | null): Light {
  if (activity === undefined) return { tone: 'neutral', label: 'Waiting for the first request', detail: null };
  const { last, longest_prompt_tokens: longest } = activity;
  if (last.status >= 400 && last.status !== CLIENT_CLOSED_REQUEST) {
    return { tone: 'bad', label: 'The last request failed', detail: last.error_kind ?? `status ${last.status}` };
  }
  if (contextLength !== null && longest > contextLength * NEARLY_FULL) {
    const detail = `a prompt had ${integer(longest)} of ${plural(contextLength, 'token')}`;
    return { tone: 'warn', label: 'Context nearly full', detail };
  }
  return { tone: 'ok', label: 'Connected', detail: usage(activity) };
}

/** What the last request that computed something has used. */
function usage({ last, requests }: ClientActivity): string {
  const prompt = last.prompt_tokens ?? 0;
  if (prompt === 0) return plural(requests, 'request');
  const cached = (last.cached_tokens ?? 0) / prompt;
  return `${plural(prompt, 'token')} in, ${cached === 0 ? '0' : percent(cached)} cached`;
}

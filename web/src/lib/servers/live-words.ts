// Requests that have not ended, in words. No Svelte inside.
import type { LiveRequest } from '$lib/api';
import { integer, percent } from '$lib/format';
import type { Tone } from '$lib/ui';

export interface Stage {
  tone: Tone;
  label: string;
  detail: string | null;
}

/** What a request is doing. */
export function stage(request: LiveRequest): Stage {
  switch (request.state) {
    case 'waiting':
      return { tone: 'neutral', label: 'Waiting', detail: 'for the model or a place' };
    case 'queued':
      return { tone: 'neutral', label: 'Queued', detail: 'on the server' };
    case 'prefill':
      return { tone: 'info', label: 'Prompt', detail: computed(request) };
    case 'decode':
      return { tone: 'ok', label: 'Generating', detail: null };
    case 'running':
      return { tone: 'info', label: 'Running', detail: null };
  }
}

/** How much of the prompt is computed; null if that is unknown. */
function computed({ prompt_tokens: prompt, computed_tokens: done }: LiveRequest): string | null {
  return prompt == null || done == null || prompt === 0 ? null : percent(done / prompt);
}

/** The tokens of the prompt with those in the cache: `1,200, 75% cached`; a dash before they are counted. */
export function promptText({ prompt_tokens: prompt, cached_tokens: cached }: LiveRequest): string {
  if (prompt == null) return '–';
  return cached ? `${integer(prompt)}, ${percent(cached / prompt)} cached` : integer(prompt);
}

/** The tokens generated so far; a dash before the first. */
export function generatedText({ completion_tokens: tokens }: LiveRequest): string {
  return tokens ? integer(tokens) : '–';
}

/** The name that the client has sent, or what it stands for. */
export function nameOf({ requested, profile, model }: LiveRequest): string {
  return requested ?? profile ?? model;
}

/** The name of the client's program without its version and what follows: `OpenAI/Python 1.2 …` is `OpenAI/Python`. */
export function clientName({ client }: LiveRequest): string {
  const name = client?.trim().split(/\s+/)[0] ?? '';
  return name.replace(/\/v?\d[\w.+-]*$/, '') || '–';
}

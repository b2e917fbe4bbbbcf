// The state of a server in words. No Svelte inside.
import type { Server } from '$lib/api';
import type { Tone } from '$lib/ui';

export interface Status {
  tone: Tone;
  label: string;
  /** What it does, or why it is in this state. */
  detail: string | null;
}

/** As the tiles, the table and the page of a server say it. */
export function status(server: Server): Status {
  switch (server.state) {
    case 'starting':
      return { tone: 'info', label: 'Starting', detail: null };
    case 'ready':
      return { tone: 'ok', label: 'Ready', detail: activity(server) };
    case 'unhealthy':
      return { tone: 'warn', label: 'Not responding', detail: server.detail ?? 'It gets no new requests.' };
    case 'restarting':
      return { tone: 'warn', label: 'Restarting', detail: server.failure?.message ?? server.detail ?? null };
    case 'failed':
      return { tone: 'bad', label: 'Failed', detail: null };
    case 'stopping':
      return { tone: 'neutral', label: 'Stopping', detail: running(server.running) };
    case 'stopped':
      return { tone: 'neutral', label: 'Stopped', detail: null };
    case 'orphaned':
      return { tone: 'neutral', label: 'Left by an earlier gateway', detail: null };
  }
}

/** `2 running, 1 waiting`, or `idle`. */
export function activity(server: Server): string {
  const waiting = server.metrics?.waiting ?? 0;
  const parts = [running(server.running), waiting > 0 ? `${waiting} waiting` : null].filter((part) => part !== null);
  return parts.length === 0 ? 'idle' : parts.join(', ');
}

function running(count: number): string | null {
  return count > 0 ? `${count} running` : null;
}

/** The name that people gave it: its profile, or else its model without the owner. */
export function title(server: Server): string {
  return server.profiles[0] ?? shortName(server.name);
}

/** The other names: more profiles, and the model. */
export function subtitle(server: Server): string[] {
  const names = server.profiles.slice(1);
  const model = shortName(server.name);
  return server.profiles.length > 0 ? [...names, model] : names;
}

/** A model's name without its owner. */
export function shortName(model: string): string {
  return model.slice(model.lastIndexOf('/') + 1);
}

/** Quantization as names of models have it, such as `4-bit`; null if the name does not say it. */
export function bits(model: string): string | null {
  const found = /(?:^|[-_])(\d{1,2})[-_]?bit(?:$|[-_])/i.exec(model);
  return found ? `${found[1]}-bit` : null;
}

/** Part of the prompts' tokens that were in the prefix cache, from 0 to 1; null without prompts. */
export function cachedShare(server: Server): number | null {
  const prompts = server.metrics?.prompt_tokens_total;
  const cached = server.metrics?.cached_tokens_total;
  if (typeof prompts !== 'number' || typeof cached !== 'number' || prompts === 0) return null;
  return cached / prompts;
}

/** Tokens of prompts and completions since the start; null if they are not measured. */
export function totalTokens(server: Server): number | null {
  const { prompt_tokens_total: prompts, completion_tokens_total: completions } = server.metrics ?? {};
  if (typeof prompts !== 'number' && typeof completions !== 'number') return null;
  return (prompts ?? 0) + (completions ?? 0);
}

/** With a period at its end: messages of the gateway have none. */
export function sentence(message: string): string {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}

/** The context lengths that a model can be loaded with, and what they need. */
import type { ServerSize } from '$lib/api';

/** A context length with the least memory that it needs. */
export interface ContextChoice {
  readonly tokens: number;
  readonly planBytes: number;
}

/** One choice for each context length, the shortest first. */
export function contextChoices(sizes: readonly ServerSize[]): ContextChoice[] {
  const least = new Map<number, number>();
  for (const { context_length: tokens, plan_bytes: bytes } of sizes) {
    least.set(tokens, Math.min(bytes, least.get(tokens) ?? Infinity));
  }
  const choices = [...least].map(([tokens, planBytes]) => ({ tokens, planBytes }));
  return choices.sort((left, right) => left.tokens - right.tokens);
}

/** A number of tokens as the form accepts it: `32k`. */
export function tokensText(tokens: number): string {
  return tokens >= 1024 && tokens % 1024 === 0 ? `${String(tokens / 1024)}k` : String(tokens);
}

// How much of a model's context the next request needs: at once from the length of texts, then as the gateway counts. No Svelte inside.

/** Tokens of the next request by what they come from. */
export interface ContextParts {
  system: number;
  history: number;
  attachments: number;
  draft: number;
}

export type ContextLevel =
  | 'ok'
  /** From 85% on, there are offers. */
  | 'near'
  /** There is no space for a response. */
  | 'full';

export interface ContextUse {
  parts: ContextParts;
  /** Tokens of all parts. */
  used: number;
  /** Tokens left for the response: what is set, or what is free. */
  response: number;
  /** The context length; null while the model is unknown. */
  limit: number | null;
  /** From 0 to 1, and more than 1 if it does not fit; null without a limit. */
  share: number | null;
  level: ContextLevel;
  /** Counted by the gateway, and not estimated. */
  isExact: boolean;
}

/** Characters per token of English text with most tokenizers. */
export const DEFAULT_RATIO = 4;
/** No tokenizer is outside of these. */
const RATIOS = { min: 0.25, max: 12 };
/** Characters after which what was learned has its full weight. */
const SETTLED_CHARACTERS = 4_000;
const NEAR = 0.85;

/** The tokens of a text before they are counted. */
export function estimateTokens(characters: number, ratio: number): number {
  return characters <= 0 ? 0 : Math.max(1, Math.ceil(characters / ratio));
}

/** The ratio after a text of this length was counted. Short texts say little. */
export function learnRatio(ratio: number, characters: number, tokens: number): number {
  if (characters <= 0 || tokens <= 0) return ratio;
  const weight = Math.min(1, characters / SETTLED_CHARACTERS);
  const learned = ratio + (characters / tokens - ratio) * weight;
  return Math.min(RATIOS.max, Math.max(RATIOS.min, learned));
}

/** What was counted last, and the texts for which it was. */
export interface Counted {
  parts: ContextParts;
  /** Characters of the draft that was counted. */
  draftCharacters: number;
  /** Characters of the other parts, which are estimated if they have changed since. */
  otherCharacters: number;
}

/** The lengths of what the next request has. */
export interface Lengths {
  system: number;
  history: number;
  attachments: number;
  draft: number;
}

/** The parts now: those that were counted, corrected by the difference in length since. */
export function partsNow(lengths: Lengths, counted: Counted | null, ratio: number): ContextParts {
  const estimated: ContextParts = {
    system: estimateTokens(lengths.system, ratio),
    history: estimateTokens(lengths.history, ratio),
    attachments: estimateTokens(lengths.attachments, ratio),
    draft: estimateTokens(lengths.draft, ratio),
  };
  if (counted === null || otherCharacters(lengths) !== counted.otherCharacters) return estimated;
  const added = Math.round((lengths.draft - counted.draftCharacters) / ratio);
  const draft = lengths.draft === 0 ? 0 : Math.max(1, counted.parts.draft + added);
  return { ...counted.parts, draft };
}

/** Characters of everything but the draft. */
export function otherCharacters({ system, history, attachments }: Lengths): number {
  return system + history + attachments;
}

/** What the meter shows. `maxTokens`: the limit of the response, if one is set. */
export function contextUse(
  parts: ContextParts,
  limit: number | null,
  maxTokens: number | null,
  isExact: boolean,
): ContextUse {
  const used = parts.system + parts.history + parts.attachments + parts.draft;
  if (limit === null || limit <= 0) {
    return { parts, used, response: maxTokens ?? 0, limit: null, share: null, level: 'ok', isExact };
  }
  const free = Math.max(0, limit - used);
  const share = used / limit;
  const level = free === 0 ? 'full' : share >= NEAR ? 'near' : 'ok';
  return { parts, used, response: Math.min(maxTokens ?? free, free), limit, share, level, isExact };
}

// The outcome of a plan as a word and a tone.
import type { PlanOutcome } from '$lib/api';
import type { Tone } from '$lib/ui';

const WORDS: Record<PlanOutcome, string> = {
  ready: 'In memory',
  fits: 'Fits',
  evicts: 'Stops others',
  waits: 'Waits',
  rejected: 'Does not start',
};

const TONES: Record<PlanOutcome, Tone> = {
  ready: 'ok',
  fits: 'ok',
  evicts: 'warn',
  waits: 'warn',
  rejected: 'bad',
};

export function outcomeWord(outcome: PlanOutcome): string {
  return WORDS[outcome];
}

export function outcomeTone(outcome: PlanOutcome): Tone {
  return TONES[outcome];
}

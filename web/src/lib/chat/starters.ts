// What to begin a chat with, by what its model is good at. No Svelte inside.
import type { Badge } from '$lib/api';

export interface Starter {
  title: string;
  /** What is written for the user, who completes or sends it. */
  text: string;
}

const CODE: Starter[] = [
  { title: 'Explain code', text: 'Explain what this code does, step by step:\n\n' },
  { title: 'Find a bug', text: 'Find the bug in this code, and show the smallest fix:\n\n' },
  { title: 'Write tests', text: 'Write tests for this function, with its edge cases:\n\n' },
];

const GENERAL: Starter[] = [
  { title: 'Summarize a text', text: 'Summarize this text in five points:\n\n' },
  { title: 'Draft an email', text: 'Write a short, friendly email that ' },
  { title: 'Explain a topic', text: 'Explain this to someone who is new to it: ' },
];

const THINKING: Starter = { title: 'Solve a problem', text: 'Solve this step by step, and check the result: ' };

/** Three of them. */
export function starters(badges: readonly Badge[]): Starter[] {
  if (badges.includes('code')) return CODE;
  return badges.includes('thinking') ? [THINKING, ...GENERAL.slice(0, 2)] : GENERAL;
}

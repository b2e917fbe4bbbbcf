// Three models to begin with, chosen from what the hub lists as popular.

import type { RemoteModel } from '$lib/api';
import { estimate } from './fit';

export type PickRole = 'first' | 'everyday' | 'best';

export interface Pick {
  role: PickRole;
  model: RemoteModel;
}

/** Weights that are downloaded in about a minute at 100 Mbit/s. */
const FIRST_BYTES = 0.7e9;
/** Larger models are slow on most machines. */
const EVERYDAY_BYTES = 6e9;
/** Part of the budget that the best one may take: the rest is for its context and others. */
const BEST_SHARE = 0.85;

/** General chat models known to be good for their size, best first. Others are chosen by downloads. */
const preferred: Record<PickRole, string[]> = {
  first: ['Qwen3-0.6B-4bit', 'Llama-3.2-1B-Instruct-4bit', 'gemma-3-1b-it-4bit'],
  everyday: ['Qwen3-4B-Instruct-2507-4bit', 'Qwen3-8B-4bit', 'Qwen3-4B-4bit', 'Llama-3.2-3B-Instruct-4bit'],
  best: [
    'gpt-oss-120b-MXFP4-Q8',
    'Llama-3.3-70B-Instruct-4bit',
    'Qwen3-32B-4bit',
    'Qwen3-30B-A3B-Instruct-2507-4bit',
    'gpt-oss-20b-MXFP4-Q8',
    'Qwen3-14B-4bit',
    'Qwen3-8B-4bit',
  ],
};

export const roleTexts: Record<PickRole, { title: string; text: string }> = {
  first: { title: 'In a minute', text: 'Small and quick. Good for a first try.' },
  everyday: { title: 'Everyday', text: 'Fast, and good enough for most tasks.' },
  best: { title: 'Best that fits', text: 'The most capable one for this memory.' },
};

/** At most one model for each role, and no model twice. The results are sorted by downloads. */
export function pick(results: RemoteModel[], budgetBytes: number): Pick[] {
  const usable = results.filter(isUsable);
  const picks: Pick[] = [];
  const free = () => usable.filter((model) => picks.every((pick) => pick.model !== model));
  const add = (role: PickRole, candidates: RemoteModel[]) => {
    const known = preferred[role].flatMap(
      (name) => candidates.find((model) => model.repo_id.endsWith(`/${name}`)) ?? [],
    );
    const model = known[0] ?? candidates[0];
    if (model) picks.push({ role, model });
  };
  const weights = (model: RemoteModel) => model.size_bytes ?? 0;
  const fits = (model: RemoteModel) => estimate(weights(model)) <= budgetBytes;
  add(
    'first',
    free().filter((model) => weights(model) <= FIRST_BYTES && fits(model)),
  );
  const everyday = Math.min(EVERYDAY_BYTES, budgetBytes / 2);
  add(
    'everyday',
    free().filter((model) => weights(model) > FIRST_BYTES && weights(model) <= everyday),
  );
  // A larger one is only better than the everyday one if it is not smaller.
  const least = Math.max(0, ...picks.map((pick) => weights(pick.model)));
  const best = free().filter((model) => weights(model) > least && estimate(weights(model)) <= budgetBytes * BEST_SHARE);
  add(
    'best',
    best.sort((one, other) => weights(other) - weights(one)),
  );
  return picks;
}

/** For chats, free to download, of a known size, and not known to be unsupported. */
function isUsable(model: RemoteModel): boolean {
  const found = model.characteristics;
  return (
    found.kind === 'text' &&
    found.supported !== false &&
    !found.badges.includes('code') &&
    !model.gated &&
    (model.size_bytes ?? 0) > 0
  );
}

// Which models a filter keeps, and their order.

import type { Browse, LocalSort } from './browse';
import type { ModelEntry } from './entry';
import { fitOfSize } from './fit';

/** What is true of a model beyond its row. */
export interface FilterFacts {
  budgetBytes: number | null;
  /** Whether the pool would reject it; null if that is not known yet. */
  isRejected: (name: string) => boolean | null;
}

export function matches(entry: ModelEntry, browse: Browse, facts: FilterFacts): boolean {
  const found = entry.characteristics;
  // The hub has searched its names already.
  if (browse.place === 'mine' && !hasWords(entry, browse.query)) return false;
  if (browse.downloaded && !entry.local?.complete && !entry.remote?.downloaded) return false;
  if (browse.fits && !fits(entry, facts)) return false;
  if (!browse.badges.every((badge) => found?.badges.includes(badge))) return false;
  if (browse.family !== null && found?.family !== browse.family) return false;
  return browse.bits === null || found?.quantization?.bits === browse.bits;
}

function hasWords(entry: ModelEntry, query: string): boolean {
  const found = entry.characteristics;
  const text = [entry.name, found?.family, found?.architecture].join(' ').toLowerCase();
  const words = query.toLowerCase().split(/\s+/);
  return words.every((word) => text.includes(word));
}

function fits(entry: ModelEntry, facts: FilterFacts): boolean {
  const rejected = entry.local ? facts.isRejected(entry.name) : null;
  if (rejected !== null) return !rejected;
  const { state } = fitOfSize(entry.sizeBytes, facts.budgetBytes);
  return state === 'fits' || state === 'tight';
}

const orders: Record<LocalSort, (one: ModelEntry, other: ModelEntry) => number> = {
  name: () => 0,
  size: (one, other) => (other.sizeBytes ?? 0) - (one.sizeBytes ?? 0),
  modified: (one, other) => (other.local?.modified_at_ms ?? 0) - (one.local?.modified_at_ms ?? 0),
  parameters: (one, other) => (other.characteristics?.parameters ?? 0) - (one.characteristics?.parameters ?? 0),
};

/** Models of this machine in an order; equal ones by name. */
export function sorted(entries: ModelEntry[], sort: LocalSort): ModelEntry[] {
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });
  return [...entries].sort((one, other) => orders[sort](one, other) || collator.compare(one.name, other.name));
}

/** The families of models, the most frequent first. */
export function families(entries: ModelEntry[]): string[] {
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const family = entry.characteristics?.family;
    if (family) counts.set(family, (counts.get(family) ?? 0) + 1);
  }
  return [...counts]
    .sort(([one, first], [other, second]) => second - first || one.localeCompare(other))
    .map(([family]) => family);
}

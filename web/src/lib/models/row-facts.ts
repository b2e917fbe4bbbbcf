// The line below the name of a model in a list.

import { bytes, count } from '$lib/format';
import { bitsText, contextText, parametersText } from './badges';
import type { ModelEntry } from './entry';

/** What is known, the most telling first. */
export function rowFacts(entry: ModelEntry): string[] {
  const found = entry.characteristics;
  const { downloads, likes } = entry.remote ?? {};
  const facts = [
    found?.family,
    found?.parameters ? parametersText(found.parameters) : null,
    bitsText(found),
    entry.sizeBytes ? bytes(entry.sizeBytes) : null,
    found?.context_length ? `${contextText(found.context_length)} context` : null,
    downloads != null ? `${count(downloads)} downloads` : null,
    likes != null ? `${count(likes)} ${likes === 1 ? 'like' : 'likes'}` : null,
  ];
  return facts.filter((fact) => fact != null);
}

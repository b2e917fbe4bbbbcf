// Which chats the list has. No Svelte inside.
import type { ChatFilter } from '$lib/api';
import type { Target } from './targets';

/** A search looks at all chats: what one looks for may be with another model. */
export function filterOf(
  scope: 'model' | 'all',
  search: string,
  tag: string | null,
  target: Target | null,
): ChatFilter {
  const filter: ChatFilter = {};
  if (tag !== null) filter.tag = tag;
  if (search !== '') return { ...filter, q: search };
  if (scope === 'all' || target === null) return filter;
  // All profiles of the server are meant, which share its memory.
  return target.server === null ? { ...filter, model: target.name } : { ...filter, server: target.server.id };
}

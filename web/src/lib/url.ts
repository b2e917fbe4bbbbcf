// State in the URL: filters, views and what is open. The entry of the history is replaced, so that "back" leaves the page.
import { goto } from '$app/navigation';
import { page } from '$app/state';

/** Parameters of a chat's page that are not about one chat: what the list has, and which panel is open. */
const OF_ALL_CHATS = ['q', 'tag', 'chats', 'panel'];

/** The URL with other parameters; null removes one. */
export function withParams(url: URL, changes: Record<string, string | null>): URL {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) changed.searchParams.delete(name);
    else changed.searchParams.set(name, value);
  }
  return changed;
}

/** Changes parameters of the current page and keeps focus and scroll. */
export async function setParams(changes: Record<string, string | null>): Promise<void> {
  const changed = withParams(page.url, changes);
  if (changed.search === page.url.search) return;
  await goto(changed, { replaceState: true, keepFocus: true, noScroll: true });
}

/** The address of a chat; null for a new one. Coming from another chat, the list and the panel stay as they are. */
export function chatPath(id: string | null, from: URL = page.url): string {
  const path = id === null ? '/chat' : `/chat/${id}`;
  if (!/^\/chat(\/|$)/.test(from.pathname)) return path;
  const kept = [...from.searchParams].filter(([name]) => OF_ALL_CHATS.includes(name));
  return kept.length === 0 ? path : `${path}?${new URLSearchParams(kept).toString()}`;
}

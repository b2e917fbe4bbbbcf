// The list of chats in groups: pinned ones, and the others by day. No Svelte inside.
import type { Chat, ChatEntry } from '$lib/api';
import { month, weekday } from '$lib/format';

export interface ChatGroup {
  title: string;
  entries: ChatEntry[];
}

/** Groups in the order of the list. */
export function grouped(entries: readonly ChatEntry[], nowMs: number, isSearch: boolean): ChatGroup[] {
  // One group: pinned ones first and then the latest activity, as in the list.
  if (isSearch) return entries.length === 0 ? [] : [{ title: 'Found', entries: [...entries] }];
  const groups = new Map<string, ChatEntry[]>();
  for (const entry of entries) {
    const title = groupOf(entry.chat, nowMs);
    const group = groups.get(title);
    if (group === undefined) groups.set(title, [entry]);
    else group.push(entry);
  }
  return [...groups].map(([title, members]) => ({ title, entries: members }));
}

function groupOf(chat: Chat, nowMs: number): string {
  if (chat.is_pinned) return 'Pinned';
  const days = Math.round((startOfDay(nowMs) - startOfDay(chat.updated_at_ms)) / 86_400_000);
  if (days <= 0) return 'Today';
  if (days === 1) return 'Yesterday';
  if (days < 7) return weekday(chat.updated_at_ms);
  return month(chat.updated_at_ms);
}

/** In the time zone of the browser; a day has 23 or 25 hours sometimes, so that differences are rounded. */
function startOfDay(ms: number): number {
  return new Date(ms).setHours(0, 0, 0, 0);
}

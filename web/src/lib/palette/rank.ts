/** What can be found: a text, and other words. */
export interface Findable {
  label: string;
  keywords?: string[];
}

/**
 * The items that contain every word of `query`, best first: those whose label begins with it, then those with a word that does,
 * then the rest. Equal ones keep their order. Without a query, all.
 */
export function rank<Item extends Findable>(items: readonly Item[], query: string, most = 60): Item[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return items.slice(0, most);
  const text = words.join(' ');
  return items
    .map((item, index) => ({ item, index, score: scoreOf(item, words, text) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, most)
    .map(({ item }) => item);
}

function scoreOf(item: Findable, words: string[], text: string): number {
  const label = item.label.toLowerCase();
  const all = [label, ...(item.keywords ?? []).map((keyword) => keyword.toLowerCase())].join(' ');
  if (!words.every((word) => all.includes(word))) return 0;
  if (label === text) return 5;
  if (label.startsWith(text)) return 4;
  const parts = all.split(/[\s/\-_.:]+/);
  if (words.every((word) => parts.some((part) => part.startsWith(word)))) return 3;
  return words.every((word) => label.includes(word)) ? 2 : 1;
}

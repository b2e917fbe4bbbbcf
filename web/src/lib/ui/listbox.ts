/** Moving through the entries of lists with keys. */

/** The index of the next usable entry from `from` (-1: none) in this direction, beginning again at the other end; -1 without one. */
export function nextUsable(usable: readonly boolean[], from: number, step: 1 | -1): number {
  const count = usable.length;
  const start = from === -1 && step === -1 ? count : from;
  for (let moved = 1; moved <= count; moved++) {
    const index = (((start + step * moved) % count) + count) % count;
    if (usable[index]) return index;
  }
  return -1;
}

/** Where a key leads in a vertical list; null for other keys. */
export function moved(key: string, usable: readonly boolean[], from: number): number | null {
  switch (key) {
    case 'ArrowDown':
      return nextUsable(usable, from, 1);
    case 'ArrowUp':
      return nextUsable(usable, from, -1);
    case 'Home':
      return nextUsable(usable, -1, 1);
    case 'End':
      return nextUsable(usable, -1, -1);
    default:
      return null;
  }
}

/** The next entry after `from` whose text begins with `text`; -1 without one. */
export function beginningWith(
  texts: readonly string[],
  usable: readonly boolean[],
  from: number,
  text: string,
): number {
  const wanted = text.toLowerCase();
  for (let step = 1; step <= texts.length; step++) {
    const index = (from + step) % texts.length;
    if (usable[index] && texts[index]?.toLowerCase().startsWith(wanted)) return index;
  }
  return -1;
}

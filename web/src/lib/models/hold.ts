// A list whose order does not change while it is read: new rows wait until they are asked for.

export interface Held<T> {
  /** In the order in which they were shown before. */
  shown: T[];
  /** Rows that are new since then. */
  held: T[];
}

export function hold<T>(order: string[], rows: T[], id: (row: T) => string): Held<T> {
  const byId = new Map(rows.map((row) => [id(row), row]));
  const shown = order.flatMap((key) => byId.get(key) ?? []);
  const known = new Set(order);
  return { shown, held: rows.filter((row) => !known.has(id(row))) };
}

// Rows of a list that grows at its top, with the new ones held back. No Svelte inside.

/** Rows from `newest` on, at most `most`, and the number of those before it. Without a newest one, all are shown. */
export function held<Row extends { id: string }>(
  rows: readonly Row[],
  newest: string | null,
  most: number,
): { shown: readonly Row[]; fresh: number } {
  const at = newest === null ? 0 : rows.findIndex((row) => row.id === newest);
  const fresh = Math.max(0, at);
  return { shown: rows.slice(fresh, fresh + most), fresh };
}

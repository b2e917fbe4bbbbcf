/** The rows of a list that are near its visible part. */
export interface Window {
  first: number;
  /** After the last one. */
  end: number;
}

/** Rows that are kept above and below the visible ones, so that a quick scroll shows no gap. */
const OVERSCAN = 12;

export function visibleRows(scrollTop: number, height: number, rowHeight: number, count: number): Window {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - OVERSCAN);
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + OVERSCAN);
  return { first: Math.min(first, Math.max(0, count - 1)), end: Math.max(end, 0) };
}

/** Whether the last row is visible. A row of tolerance: zoomed pages have fractions of pixels. */
export function isAtEnd(scrollTop: number, height: number, scrollHeight: number, rowHeight: number): boolean {
  return scrollTop + height >= scrollHeight - rowHeight;
}

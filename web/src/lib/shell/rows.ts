/** Moves the focus along the rows and tiles of a page: elements with `data-row`. */
export function moveRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')].filter(
    (row) => row.offsetParent !== null,
  );
  if (rows.length === 0) return;
  const current = document.activeElement?.closest('[data-row]');
  const index = rows.findIndex((row) => row === current);
  const next =
    rows[index === -1 ? (step === 1 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, index + step))];
  if (!next) return;
  if (!next.hasAttribute('tabindex')) next.tabIndex = -1;
  next.focus();
}

/** Focuses the search field of the page; whether there is one. */
export function focusSearch(): boolean {
  const field = document.querySelector<HTMLInputElement>('main [data-shortcut="/"]');
  field?.focus();
  field?.select();
  return field !== null;
}

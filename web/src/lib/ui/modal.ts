/** Opens and closes a dialog element with the state of its component. */
export function showModal(dialog: HTMLDialogElement | null, open: boolean): void {
  if (!dialog || dialog.open === open) return;
  if (open) dialog.showModal();
  else dialog.close();
}

/** Whether a click was on the page behind the dialog. Its own content has an element of its own. */
export function isOutside(event: MouseEvent): boolean {
  return event.target === event.currentTarget;
}

import { tick } from 'svelte';

/**
 * After a navigation to another page, the focus is on its heading, so that a screen reader reads it and Tab continues from there.
 * Filters and tabs change the address, too: they keep the focus.
 */
export async function focusHeading(from: URL | undefined, to: URL | undefined): Promise<void> {
  if (!from || !to || from.pathname === to.pathname) return;
  await tick();
  // Who is writing a message goes on, also when the chat has got its own address by it.
  if (document.activeElement?.matches('[data-keep-focus]')) return;
  const heading = document.querySelector<HTMLElement>('main h1');
  heading?.focus({ preventScroll: true });
}

import { toasts } from '$lib/ui';

/** A part of the page that is loaded when it is needed. Null if it cannot be loaded, which is said then. */
export async function loadPart<T>(part: Promise<T>): Promise<T | null> {
  try {
    return await part;
  } catch {
    toasts.add({ title: 'This part of the page could not be loaded', detail: 'Reload the page.', tone: 'bad' });
    return null;
  }
}

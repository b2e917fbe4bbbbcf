// The scripts of all pages of the rail, so that they open at once, and also while the gateway is unreachable.
import { preloadCode } from '$app/navigation';
import { administration, destinations } from './navigation';

/** Long enough for the page that was opened to be complete. */
const DELAY_MS = 5_000;

/** Loads them once, when there is time. */
export function preloadPages(): () => void {
  const timer = setTimeout(() => {
    // What cannot be loaded now is loaded when it is needed.
    for (const { href } of [...destinations, ...administration]) preloadCode(href).catch(() => undefined);
  }, DELAY_MS);
  return () => clearTimeout(timer);
}

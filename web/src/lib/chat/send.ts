// Sends something exactly once, however often it takes: the gateway knows it again by its key. No Svelte inside.
import { attempt, type Problem, type Result } from '$lib/api';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** New for each message. Pages over plain HTTP have no `randomUUID`. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The pause before the next attempt; `random`: from 0 to 1, so that tabs do not all come at once. */
export function pauseMs(failures: number, random: number): number {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.max(0, failures - 1));
  return pause * (0.8 + 0.4 * random);
}

interface Sending {
  signal: AbortSignal;
  /** Called after each attempt that got no response. */
  onwait: (problem: Problem) => void;
  /** Waits; replaced in tests. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Repeats a request while the gateway does not respond. A rejection, or the end of the signal, is the result. */
export async function sendUntilReceived<T>(
  request: () => Promise<T>,
  { signal, onwait, pause = rest }: Sending,
): Promise<Result<T>> {
  for (let failures = 1; ; failures += 1) {
    const result = await attempt(request);
    if (result.ok || !result.problem.isUnreachable || signal.aborted) return result;
    onwait(result.problem);
    if (!signal.aborted) await pause(pauseMs(failures, Math.random()), signal);
    if (signal.aborted) return result;
  }
}

/** Ends early when the signal does, and when the browser has a network again. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      window.removeEventListener('online', finish);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    window.addEventListener('online', finish);
    signal.addEventListener('abort', finish);
  });
}

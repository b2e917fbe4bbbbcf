// Values of the measurements that the page has received. No Svelte inside.
import type { ServerMetrics } from '$lib/api';

/** While no one watches, a measurement is sent every 10 s: a value is shown as long as the next one is not late. */
const VALID_MS = 12_000;

/** The last `seconds`, one value for each; null where nothing was measured. */
export function perSecond(
  history: readonly ServerMetrics[],
  seconds: number,
  nowMs: number,
  value: (metrics: ServerMetrics) => number | null | undefined,
): (number | null)[] {
  const values: (number | null)[] = [];
  let at = history.length - 1;
  for (let second = 0; second < seconds; second += 1) {
    const time = nowMs - second * 1_000;
    while (at >= 0 && (history[at]?.at_ms ?? 0) > time) at -= 1;
    const found = history[at];
    const isValid = found !== undefined && time - found.at_ms < VALID_MS;
    values.push(isValid ? (value(found) ?? null) : null);
  }
  return values.reverse();
}

/** The largest value; null if there is none. */
export function peak(
  history: readonly ServerMetrics[],
  value: (metrics: ServerMetrics) => number | null | undefined,
): number | null {
  let largest: number | null = null;
  for (const metrics of history) {
    const measured = value(metrics);
    if (typeof measured === 'number' && (largest === null || measured > largest)) largest = measured;
  }
  return largest;
}

/** Requests that ended per second. The first measurement has none, nor the first of a new process. */
export function requestRates(history: readonly ServerMetrics[]): (number | null)[] {
  return history.map((current, index) => {
    const before = history[index - 1];
    const total = current.requests_total;
    const earlier = before?.requests_total;
    if (before === undefined || typeof total !== 'number' || typeof earlier !== 'number') return null;
    const seconds = (current.at_ms - before.at_ms) / 1_000;
    return seconds > 0 && total >= earlier ? (total - earlier) / seconds : null;
  });
}

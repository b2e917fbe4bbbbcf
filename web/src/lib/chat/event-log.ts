// The events of runs as they arrived, to look at them. No Svelte inside: nothing is rendered again for them.
import type { RunEvent } from '$lib/api';

/** Events of all runs together; older ones are forgotten. */
const MOST = 2_000;

export class EventLog {
  #events: RunEvent[] = [];

  add(event: RunEvent): void {
    this.#events.push(event);
    // Not with each event: it moves all of them.
    if (this.#events.length > 2 * MOST) this.#events = this.#events.slice(-MOST);
  }

  /** As JSON lines, in the order of their arrival. Empty for a run that ended before the page was opened. */
  linesOf(run: string): string {
    const own = this.#events.filter((event) => event.run === run);
    return own.map((event) => JSON.stringify(event)).join('\n');
  }
}

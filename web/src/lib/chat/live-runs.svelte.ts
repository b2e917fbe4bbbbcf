/** The runs of a chat that is open, each by the response that it writes. A token changes nothing but its own run. */
import { SvelteMap } from 'svelte/reactivity';

import { hasEnded, type LiveRun } from './run';

/** The place of a run, which stays while its events come. */
class Slot {
  live = $state.raw() as LiveRun;
  readonly isRunning = $derived(!hasEnded(this.live));

  constructor(live: LiveRun) {
    this.live = live;
  }
}

export class LiveRuns {
  /** It changes when a run begins or ends. Whoever asks for a response without a run depends on all of it. */
  readonly #slots = new SvelteMap<string, Slot>();

  /** Responses that are being written. */
  readonly writing: readonly string[] = $derived(
    [...this.#slots].flatMap(([message, slot]) => (slot.isRunning ? [message] : [])),
  );

  get(message: string): LiveRun | undefined {
    return this.#slots.get(message)?.live;
  }

  set(message: string, live: LiveRun): void {
    const slot = this.#slots.get(message);
    if (slot === undefined) this.#slots.set(message, new Slot(live));
    else slot.live = live;
  }

  delete(message: string): void {
    this.#slots.delete(message);
  }

  /** Forgets the runs of all other responses. */
  keep(messages: ReadonlySet<string>): void {
    for (const message of [...this.#slots.keys()]) if (!messages.has(message)) this.#slots.delete(message);
  }

  /** The response that a run writes, and the run. */
  find(run: string): [string, LiveRun] | undefined {
    for (const [message, { live }] of this.#slots) if (live.run.id === run) return [message, live];
    return undefined;
  }
}

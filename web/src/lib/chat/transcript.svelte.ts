/** The messages of a chat, and the runs that write some of them: as of a snapshot, and then of events. */
import { SvelteMap } from 'svelte/reactivity';

import type { Message, Run, RunEvent } from '$lib/api';

import { LiveRuns } from './live-runs.svelte';
import { apply, begin, hasEnded, hasGap, merge, type LiveRun } from './run';
import { Tree } from './tree';

export class Transcript {
  readonly #messages = new SvelteMap<string, Message>();
  readonly #runs = new LiveRuns();

  readonly tree = $derived(new Tree(this.#messages.values()));

  /** The run that writes a response; undefined for a response that is complete. */
  live(message: string): LiveRun | undefined {
    return this.#runs.get(message);
  }

  /** Whether a response is being written. */
  isWriting(message: string): boolean {
    return this.#runs.writing.includes(message);
  }

  /** A snapshot of all messages, and of the runs in progress. */
  replace(messages: readonly Message[], runs: readonly Run[]): void {
    const ids = new Set(messages.map(({ id }) => id));
    for (const id of [...this.#messages.keys()]) if (!ids.has(id)) this.drop(id);
    for (const message of messages) this.upsert(message);
    this.#runs.keep(new Set(runs.map(({ message }) => message)));
    for (const run of runs) this.read(run);
  }

  upsert(message: Message): void {
    if (message.state === 'running' && this.#isOver(message.id, message.run)) return;
    this.#messages.set(message.id, message);
    // Its text is complete now, and has what the events said.
    if (message.state !== 'running') this.#runs.delete(message.id);
  }

  drop(id: string): void {
    this.#messages.delete(id);
    this.#runs.delete(id);
  }

  /** A run as of a snapshot, unless what is there is newer: a short run may end before the response to its request is here. */
  read(run: Run, message = this.#messages.get(run.message)): void {
    if (this.#isOver(run.message, run.id)) return;
    const merged = merge(begin(run, message), this.#runs.get(run.message));
    if (hasEnded(merged) && message !== undefined && message.state !== 'running') this.upsert(message);
    else this.#runs.set(run.message, merged);
  }

  /** Applies an event. Returns whether its run has to be read, because events are missing. */
  advance(event: RunEvent): boolean {
    const found = this.#runs.find(event.run);
    if (found === undefined) {
      return ![...this.#messages.values()].some(({ run, state }) => run === event.run && state !== 'running');
    }
    const [message, live] = found;
    const next = apply(live, event);
    if (next !== live) this.#runs.set(message, next);
    return hasGap(next);
  }

  /** Whether the message is complete, so that what comes of this run is older. */
  #isOver(message: string, run: string | null | undefined): boolean {
    const known = this.#messages.get(message);
    return known !== undefined && known.run === run && known.state !== 'running';
  }
}

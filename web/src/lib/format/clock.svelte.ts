/** The time, for texts such as "12 min ago". */
import { createSubscriber } from 'svelte/reactivity';

const SECOND_MS = 1_000;

/** Ticks once a second, only while a component reads it. */
class Clock {
  #subscribe = createSubscriber((update) => {
    const timer = setInterval(update, SECOND_MS);
    return () => clearInterval(timer);
  });

  get now(): number {
    this.#subscribe();
    return Date.now();
  }
}

export const clock = new Clock();

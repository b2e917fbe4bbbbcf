/**
 * The connection to the event stream as a pure state machine: what happened goes in, what to do comes out. `driver.ts` has the
 * timers and the network.
 *
 * - There is one connection for all topics. When the topics change, another one is opened that continues after the last event.
 * - A lost connection is opened again, after 0.5 s at first and at most 15 s.
 * - The gateway says which events it no longer knows. What it does not say is found here: a connection that had no id to
 *   continue with, and ids of another start of the gateway. Subscribers then read their topics again.
 */
import type { StreamEvent } from '../api/types';
import { parseEventId } from './sse';
import type { TopicName } from './topics';

export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 15_000;
/** The gateway sends a comment after 10 s without events. */
export const SILENCE_MS = 25_000;
/** Pages change their topics in several steps. */
export const ADD_DELAY_MS = 50;
/** Topics that no one shows any more cost little, and are often shown again. */
export const REMOVE_DELAY_MS = 2_000;
/** A connection that was open for less does not reset the delay. */
export const STABLE_MS = 5_000;

/** What subscribers know of the connection. */
export interface HubStatus {
  /** `waiting`: it was lost, and is opened again at `retryAtMs`. It stays `live` while its topics change. */
  state: 'idle' | 'connecting' | 'live' | 'waiting';
  /** The topics whose events arrive. */
  topics: readonly TopicName[];
  /** Since when no connection is open, after there was one or a failure. */
  downSinceMs: number | null;
  retryAtMs: number | null;
  /** Why it was lost; null if it just ended. */
  problem: ProblemData | null;
}

/** A problem as messages between threads can contain it. */
export interface ProblemData {
  status: number;
  code: string;
  title: string;
  detail: string;
  advice: string | null;
}

export type HubInput =
  | { type: 'topics'; topics: readonly TopicName[] }
  | { type: 'timer'; name: TimerName }
  | { type: 'opened'; connection: number }
  | { type: 'activity'; connection: number }
  | { type: 'frame'; connection: number; id: string | null; event: StreamEvent | null }
  | { type: 'closed'; connection: number; problem: ProblemData | null }
  /** Something suggests that it works again: the user, or the network. */
  | { type: 'retry' };

export type TimerName = 'topics' | 'retry' | 'silence';

export type HubAction =
  | { type: 'open'; connection: number; topics: readonly TopicName[]; lastEventId: string | null }
  | { type: 'close' }
  | { type: 'start'; timer: TimerName; ms: number }
  | { type: 'cancel'; timer: TimerName }
  | { type: 'deliver'; event: StreamEvent }
  | { type: 'status'; status: HubStatus };

export interface HubEnvironment {
  nowMs: number;
  /** From 0 to 1. */
  random: number;
}

/** The state of the hub. `step` is its only method with effects on it. */
export class Hub {
  #wanted: readonly TopicName[] = [];
  #connection = 0;
  #phase: HubStatus['state'] = 'idle';
  /** The connection that is being opened replaces one that worked. */
  #isReplacing = false;
  /** Topics of the connection that is open or being opened. */
  #topics: readonly TopicName[] = [];
  #lastEventId: string | null = null;
  /** Topics that some connection has had, of which subscribers may have a state. */
  #known = new Set<TopicName>();
  #failures = 0;
  #openedAtMs = 0;
  #downSinceMs: number | null = null;
  #retryAtMs: number | null = null;
  #problem: ProblemData | null = null;

  get status(): HubStatus {
    const isReplaced = this.#phase === 'connecting' && this.#isReplacing;
    return {
      state: isReplaced ? 'live' : this.#phase,
      topics: this.#phase === 'live' ? this.#topics : [],
      downSinceMs: this.#downSinceMs,
      retryAtMs: this.#retryAtMs,
      problem: this.#problem,
    };
  }

  /** What to do about something that happened. */
  step(input: HubInput, environment: HubEnvironment): HubAction[] {
    // Of a connection that was replaced.
    if ('connection' in input && input.connection !== this.#connection) return [];
    switch (input.type) {
      case 'topics':
        return this.#topicsChanged(input.topics);
      case 'timer':
        return this.#timer(input.name, environment);
      case 'opened':
        return this.#opened(environment);
      case 'activity':
        return this.#phase === 'live' ? [{ type: 'start', timer: 'silence', ms: SILENCE_MS }] : [];
      case 'frame':
        return this.#frame(input.id, input.event);
      case 'closed':
        return this.#closed(input.problem, environment);
      case 'retry':
        return this.#phase === 'waiting' ? [{ type: 'cancel', timer: 'retry' }, ...this.#open()] : [];
    }
  }

  #topicsChanged(topics: readonly TopicName[]): HubAction[] {
    this.#wanted = topics;
    switch (this.#phase) {
      case 'idle':
        return topics.length === 0 ? [] : this.#open();
      case 'waiting':
        return topics.length === 0 ? this.#stop() : [];
      default: {
        if (topics.length > 0 && isSame(topics, this.#topics)) return [{ type: 'cancel', timer: 'topics' }];
        const isAdded = topics.some((topic) => !this.#topics.includes(topic));
        return [{ type: 'start', timer: 'topics', ms: isAdded ? ADD_DELAY_MS : REMOVE_DELAY_MS }];
      }
    }
  }

  #timer(name: TimerName, environment: HubEnvironment): HubAction[] {
    switch (name) {
      case 'topics':
        if (this.#wanted.length === 0) return this.#stop();
        if (this.#phase === 'waiting' || isSame(this.#wanted, this.#topics)) return [];
        return [{ type: 'close' }, ...this.#open()];
      case 'retry':
        return this.#phase === 'waiting' ? this.#open() : [];
      case 'silence':
        return this.#phase === 'live' ? [{ type: 'close' }, ...this.#closed(null, environment)] : [];
    }
  }

  #open(): HubAction[] {
    this.#isReplacing = this.#phase === 'live' || (this.#phase === 'connecting' && this.#isReplacing);
    this.#connection += 1;
    this.#phase = 'connecting';
    this.#topics = this.#wanted;
    this.#retryAtMs = null;
    const [connection, topics, lastEventId] = [this.#connection, this.#topics, this.#lastEventId];
    return [{ type: 'cancel', timer: 'silence' }, { type: 'open', connection, topics, lastEventId }, this.#report()];
  }

  #opened({ nowMs }: HubEnvironment): HubAction[] {
    this.#phase = 'live';
    this.#openedAtMs = nowMs;
    this.#downSinceMs = null;
    this.#problem = null;
    const actions: HubAction[] = [{ type: 'start', timer: 'silence', ms: SILENCE_MS }];
    const missed = this.#lastEventId === null ? this.#topics.filter((topic) => this.#known.has(topic)) : [];
    if (missed.length > 0) actions.push(reset(missed));
    for (const topic of this.#topics) this.#known.add(topic);
    return [...actions, this.#report()];
  }

  #frame(id: string | null, event: StreamEvent | null): HubAction[] {
    const actions: HubAction[] = [];
    if (id !== null) {
      const last = this.#lastEventId === null ? null : parseEventId(this.#lastEventId);
      const next = parseEventId(id);
      const isReset = event?.topic === 'reset';
      if (last !== null && next !== null && last.epoch === next.epoch) {
        // A reset is about what was lost, whatever its number.
        if (next.number <= last.number && !isReset) return [];
      } else if (last !== null && !isReset) {
        actions.push(reset(this.#topics));
      }
      this.#lastEventId = id;
    }
    if (event !== null) actions.push({ type: 'deliver', event });
    return actions;
  }

  #closed(problem: ProblemData | null, { nowMs, random }: HubEnvironment): HubAction[] {
    if (this.#phase !== 'connecting' && this.#phase !== 'live') return [];
    if (this.#phase === 'live' && nowMs - this.#openedAtMs >= STABLE_MS) this.#failures = 0;
    if (this.#wanted.length === 0) return this.#stop();
    const ms = retryDelay(this.#failures, random);
    this.#failures += 1;
    this.#phase = 'waiting';
    this.#downSinceMs ??= nowMs;
    this.#retryAtMs = nowMs + ms;
    this.#problem = problem;
    return [
      { type: 'cancel', timer: 'silence' },
      { type: 'cancel', timer: 'topics' },
      { type: 'start', timer: 'retry', ms },
      this.#report(),
    ];
  }

  /** No one subscribes to anything. The last id is kept for the next subscriber. */
  #stop(): HubAction[] {
    this.#connection += 1;
    this.#phase = 'idle';
    this.#topics = [];
    this.#failures = 0;
    this.#downSinceMs = null;
    this.#retryAtMs = null;
    this.#problem = null;
    const timers: TimerName[] = ['topics', 'retry', 'silence'];
    return [...timers.map((timer): HubAction => ({ type: 'cancel', timer })), { type: 'close' }, this.#report()];
  }

  #report(): HubAction {
    return { type: 'status', status: this.status };
  }
}

/** The time before a connection is opened again, after a number of failures since the last stable one. */
export function retryDelay(failures: number, random: number): number {
  const delay = Math.min(FIRST_DELAY_MS * 2 ** failures, LONGEST_DELAY_MS);
  // ±20%, so that many clients do not return at the same time.
  return Math.round(Math.min(delay * (0.8 + 0.4 * random), LONGEST_DELAY_MS));
}

function reset(topics: readonly TopicName[]): HubAction {
  return { type: 'deliver', event: { topic: 'reset', event: { topics: [...topics] } } };
}

function isSame(one: readonly TopicName[], other: readonly TopicName[]): boolean {
  return one.length === other.length && one.every((topic, index) => topic === other[index]);
}

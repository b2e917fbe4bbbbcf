/** Runs the hub: its timers, its connection, and the messages to pages. In a SharedWorker for all tabs, or else in the page. */
import type { StreamEvent } from '../api/types';
import { Problem } from '../api/problem';
import { readStream } from '../api/stream';
import { Fanout } from './fanout';
import { Hub, type HubAction, type HubInput, type HubStatus, type ProblemData, type TimerName } from './hub';
import { SseParser } from './sse';
import { isStreamEvent, union, type TopicName } from './topics';

/** Events of this time are one message: a frame at 60 Hz. */
const FRAME_MS = 16;

/** From a page. */
export type ToExchange =
  | { type: 'topics'; topics: readonly TopicName[] }
  /** It has read the last message with events. */
  | { type: 'read' }
  | { type: 'retry' }
  | { type: 'bye' };

/** To a page. */
export type ToPage =
  | { type: 'status'; status: HubStatus }
  | { type: 'events'; events: StreamEvent[] }
  /** It did not read for too long, and has to subscribe and read everything again. */
  | { type: 'forgotten' };

/** A page as the exchange sees it. */
export type Post = (message: ToPage) => void;

/** Opens a stream; replaced in tests. */
export type ReadStream = typeof readStream;

export class Exchange {
  #hub = new Hub();
  #fanout = new Fanout<Post>();
  #timers = new Map<TimerName, ReturnType<typeof setTimeout>>();
  #abort: AbortController | null = null;
  #flush: ReturnType<typeof setTimeout> | null = null;
  #read: ReadStream;

  constructor(read: ReadStream = readStream) {
    this.#read = read;
  }

  /** Adds a page. Returns what it calls with its messages. */
  connect(post: Post): (message: ToExchange) => void {
    post({ type: 'status', status: this.#hub.status });
    return (message) => this.#receive(post, message);
  }

  /** Opens the stream with topics that a page which is still loading will want. */
  prepare(topics: readonly TopicName[]): void {
    this.#step({ type: 'topics', topics: union([this.#fanout.topics, topics]) });
  }

  #receive(post: Post, message: ToExchange): void {
    switch (message.type) {
      case 'topics':
        this.#fanout.set(post, message.topics);
        this.#step({ type: 'topics', topics: this.#fanout.topics });
        // Also if nothing changes for others, so that it knows which topics are live.
        post({ type: 'status', status: this.#hub.status });
        return;
      case 'read':
        if (!this.#fanout.has(post)) {
          post({ type: 'forgotten' });
          return;
        }
        this.#fanout.acknowledge(post);
        this.#scheduleFlush();
        return;
      case 'retry':
        this.#step({ type: 'retry' });
        return;
      case 'bye':
        this.#fanout.delete(post);
        this.#step({ type: 'topics', topics: this.#fanout.topics });
    }
  }

  #step(input: HubInput): void {
    const actions = this.#hub.step(input, { nowMs: Date.now(), random: Math.random() });
    for (const action of actions) this.#run(action);
  }

  #run(action: HubAction): void {
    switch (action.type) {
      case 'open':
        void this.#open(action);
        return;
      case 'close':
        this.#abort?.abort();
        this.#abort = null;
        return;
      case 'start': {
        const { timer, ms } = action;
        clearTimeout(this.#timers.get(timer));
        this.#timers.set(
          timer,
          setTimeout(() => this.#step({ type: 'timer', name: timer }), ms),
        );
        return;
      }
      case 'cancel':
        clearTimeout(this.#timers.get(action.timer));
        return;
      case 'deliver':
        this.#fanout.push(action.event);
        if (this.#fanout.expire(Date.now())) this.#step({ type: 'topics', topics: this.#fanout.topics });
        this.#scheduleFlush();
        return;
      case 'status':
        for (const post of this.#fanout.ports) post({ type: 'status', status: action.status });
    }
  }

  async #open({ connection, topics, lastEventId }: Extract<HubAction, { type: 'open' }>): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const parser = new SseParser();
    let problem: ProblemData | null = null;
    try {
      await this.#read(
        { topics, lastEventId, signal: abort.signal },
        () => this.#step({ type: 'opened', connection }),
        (text) => {
          this.#step({ type: 'activity', connection });
          for (const { id, data } of parser.push(text)) {
            this.#step({ type: 'frame', connection, id, event: parseEvent(data) });
          }
        },
      );
    } catch (error) {
      problem = toData(Problem.from(error));
    }
    this.#step({ type: 'closed', connection, problem });
  }

  #scheduleFlush(): void {
    if (this.#flush !== null || !this.#fanout.hasPending) return;
    this.#flush = setTimeout(() => {
      this.#flush = null;
      for (const [post, events] of this.#fanout.flush(Date.now())) post({ type: 'events', events });
    }, FRAME_MS);
  }
}

/** Null for a frame without data, and for what is not an event. */
function parseEvent(data: string | null): StreamEvent | null {
  if (data === null) return null;
  try {
    const value: unknown = JSON.parse(data);
    return isStreamEvent(value) ? value : null;
  } catch {
    return null;
  }
}

/** An error loses its class on its way to another thread. */
function toData({ status, code, title, detail, advice }: Problem): ProblemData {
  return { status, code, title, detail, advice };
}

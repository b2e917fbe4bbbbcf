/**
 * Events for several pages: each gets those of its topics, at most one message per frame, and the next one only when it has
 * read the last. A page that does not read, because it is frozen or gone, costs nothing but a limited number of events.
 */
import type { StreamEvent } from '../api/types';
import { replaceKey, topicOf, union, type TopicName } from './topics';

/** Most events that wait for a page. */
export const MAX_PENDING = 2_000;
/** Time after which a page that does not read is forgotten. */
export const PATIENCE_MS = 60_000;

interface Subscriber {
  topics: ReadonlySet<TopicName>;
  /** By the key under which later events replace them. */
  pending: Map<string | symbol, StreamEvent>;
  /** Topics of which events were dropped. */
  lost: Set<TopicName>;
  /** When the message was sent that it has not read yet. */
  sentAtMs: number | null;
}

/** The subscribers of a stream; `Port` identifies them. */
export class Fanout<Port> {
  #subscribers = new Map<Port, Subscriber>();

  /** All topics that someone wants. */
  get topics(): TopicName[] {
    return union([...this.#subscribers.values()].map((subscriber) => subscriber.topics));
  }

  get ports(): Port[] {
    return [...this.#subscribers.keys()];
  }

  has(port: Port): boolean {
    return this.#subscribers.has(port);
  }

  /** Adds a page, or changes its topics. */
  set(port: Port, topics: Iterable<TopicName>): void {
    const current = this.#subscribers.get(port);
    const wanted = new Set(topics);
    if (current === undefined) {
      this.#subscribers.set(port, { topics: wanted, pending: new Map(), lost: new Set(), sentAtMs: null });
      return;
    }
    current.topics = wanted;
    // If it wants a topic again, it reads it first, and these would be older.
    discard(current, (topic) => !wanted.has(topic));
    for (const topic of current.lost) if (!wanted.has(topic)) current.lost.delete(topic);
  }

  delete(port: Port): void {
    this.#subscribers.delete(port);
  }

  /** A page has read its message. */
  acknowledge(port: Port): void {
    const subscriber = this.#subscribers.get(port);
    if (subscriber !== undefined) subscriber.sentAtMs = null;
  }

  /** Adds an event to those that wait. */
  push(event: StreamEvent): void {
    for (const subscriber of this.#subscribers.values()) add(subscriber, event);
  }

  /** Forgets pages that have not read for long, and returns whether there were any. */
  expire(nowMs: number): boolean {
    const before = this.#subscribers.size;
    for (const [port, { sentAtMs }] of this.#subscribers) {
      if (sentAtMs !== null && nowMs - sentAtMs > PATIENCE_MS) this.#subscribers.delete(port);
    }
    return this.#subscribers.size < before;
  }

  /** Whether {@link flush} would return something. */
  get hasPending(): boolean {
    return [...this.#subscribers.values()].some(isReady);
  }

  /** What is sent now: one message for each page that has read the last one. */
  flush(nowMs: number): [Port, StreamEvent[]][] {
    const messages: [Port, StreamEvent[]][] = [];
    for (const [port, subscriber] of this.#subscribers) {
      if (!isReady(subscriber)) continue;
      subscriber.sentAtMs = nowMs;
      messages.push([port, take(subscriber)]);
    }
    return messages;
  }
}

function isReady({ sentAtMs, pending, lost }: Subscriber): boolean {
  return sentAtMs === null && (pending.size > 0 || lost.size > 0);
}

function add(subscriber: Subscriber, event: StreamEvent): void {
  if (event.topic === 'reset') {
    const topics = event.event.topics.filter((topic) => subscriber.topics.has(topic));
    if (topics.length > 0) lose(subscriber, topics);
    return;
  }
  const topic = topicOf(event);
  // After a reset, the page reads the topic again, and needs the events since.
  if (topic === null || !subscriber.topics.has(topic)) return;
  const key = replaceKey(event) ?? Symbol();
  // Its place is that of the latest one.
  subscriber.pending.delete(key);
  subscriber.pending.set(key, event);
  if (subscriber.pending.size > MAX_PENDING) {
    const dropped = [...subscriber.pending.values()].map(topicOf);
    subscriber.pending.clear();
    lose(
      subscriber,
      dropped.filter((topic) => topic !== null),
    );
  }
}

/** What waits of these topics is older than what the page will read. */
function lose(subscriber: Subscriber, topics: readonly TopicName[]): void {
  for (const topic of topics) subscriber.lost.add(topic);
  discard(subscriber, (topic) => subscriber.lost.has(topic));
}

function discard({ pending }: Subscriber, isUnwanted: (topic: TopicName) => boolean): void {
  for (const [key, event] of pending) {
    const topic = topicOf(event);
    if (topic !== null && isUnwanted(topic)) pending.delete(key);
  }
}

/** A reset comes first: events after it are newer. */
function take(subscriber: Subscriber): StreamEvent[] {
  const events = [...subscriber.pending.values()];
  if (subscriber.lost.size > 0) events.unshift({ topic: 'reset', event: { topics: [...subscriber.lost] } });
  subscriber.pending.clear();
  subscriber.lost.clear();
  return events;
}

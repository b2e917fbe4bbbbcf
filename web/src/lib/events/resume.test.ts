import fc from 'fast-check';
import { expect, it } from 'vitest';

import type { StreamEvent } from '../api/types';
import { Fanout } from './fanout';
import { Hub, type HubInput, type TimerName } from './hub';
import { parseEventId } from './sse';
import { topicOf } from './topics';

/** Like `MAX_EVENTS` of the gateway, but small, so that events are forgotten. */
const KEPT = 3;
const TOPICS = ['aliases', 'audit', 'notices'] as const;

interface Sent {
  id: string | null;
  event: StreamEvent | null;
}

/** What the gateway does with ids: see `history.rs`. A notice says which number is the latest of its topic. */
class Gateway {
  epoch = 1;
  number = 0;
  latest = new Map<string, number>();
  kept: { topic: string; number: number }[] = [];
  forgotten = new Map<string, number>();
  queue: Sent[] = [];
  topics: readonly string[] = [];

  publish(topic: string): void {
    this.number += 1;
    this.latest.set(topic, this.epoch * 1_000 + this.number);
    this.kept.push({ topic, number: this.number });
    const same = this.kept.filter((event) => event.topic === topic);
    const oldest = same[0];
    if (same.length > KEPT && oldest !== undefined) {
      this.kept = this.kept.filter((event) => event !== oldest);
      this.forgotten.set(topic, oldest.number);
    }
    if (this.topics.includes(topic)) this.queue.push(this.frame(topic, this.number));
  }

  connect(topics: readonly string[], lastEventId: string | null): void {
    this.topics = topics;
    this.queue = [];
    const last = lastEventId === null ? null : parseEventId(lastEventId);
    if (last === null) {
      this.queue.push({ id: this.id(this.number), event: null });
      return;
    }
    const isKnown = Number(last.epoch) === this.epoch && last.number <= this.number;
    const lost = topics.filter((topic) => !isKnown || last.number < (this.forgotten.get(topic) ?? 0));
    const missed = this.kept.filter(
      ({ topic, number }) => topics.includes(topic) && !lost.includes(topic) && number > last.number,
    );
    this.queue.push(...missed.map(({ topic, number }) => this.frame(topic, number)));
    if (lost.length > 0) {
      this.queue.push({ id: this.id(this.number), event: { topic: 'reset', event: { topics: [...lost] } } });
    }
  }

  restart(): void {
    this.epoch += 1;
    this.number = 0;
    this.kept = [];
    this.forgotten.clear();
    this.topics = [];
    this.queue = [];
  }

  id(number: number): string {
    return `${this.epoch}-${number}`;
  }

  private frame(topic: string, number: number): Sent {
    const message = String(this.epoch * 1_000 + number);
    const event = { topic, event: { message } } as unknown as StreamEvent;
    return { id: this.id(number), event };
  }
}

type Step =
  | { type: 'publish'; topic: string }
  | { type: 'cut' | 'restart' | 'timers' | 'flush' }
  | { type: 'read'; count: number }
  | { type: 'topics'; topics: string[] };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('publish' as const), topic: fc.constantFrom(...TOPICS) }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('read' as const), count: fc.nat(3) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constantFrom('cut' as const, 'restart' as const, 'timers' as const, 'flush' as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('topics' as const),
        topics: fc.subarray([...TOPICS], { minLength: 1 }),
      }),
    },
  ),
  { maxLength: 60 },
);

it('ends with the latest state of every topic, however often the connection is lost', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const gateway = new Gateway();
      const hub = new Hub();
      const fanout = new Fanout<string>();
      const view = new Map<string, number>();
      const timers = new Set<TimerName>();
      let connection: number | null = null;
      let live: readonly string[] = [];

      /** A page reads the state of a topic when it becomes live for it, and after a reset. */
      const load = (topic: string): void => void view.set(topic, gateway.latest.get(topic) ?? 0);
      const step = (input: HubInput): void => {
        for (const action of hub.step(input, { nowMs: 0, random: 0 })) {
          if (action.type === 'start') timers.add(action.timer);
          if (action.type === 'cancel') timers.delete(action.timer);
          if (action.type === 'close') connection = null;
          if (action.type === 'deliver') fanout.push(action.event);
          if (action.type === 'open') {
            connection = action.connection;
            gateway.connect(action.topics, action.lastEventId);
            step({ type: 'opened', connection });
          }
          if (action.type === 'status' && action.status.state === 'live' && action.status.topics.length > 0) {
            const shown = action.status.topics.filter((topic) => fanout.topics.includes(topic));
            for (const topic of shown) if (!live.includes(topic)) load(topic);
            live = shown;
          }
        }
      };
      const read = (): void => {
        const sent = gateway.queue.shift();
        if (sent !== undefined && connection !== null) step({ type: 'frame', connection, ...sent });
      };
      const flush = (): void => {
        for (const [, events] of fanout.flush(0)) {
          for (const event of events) {
            if (event.topic === 'reset') event.event.topics.forEach(load);
            else view.set(topicOf(event) ?? '', Number((event.event as { message: string }).message));
          }
        }
        fanout.acknowledge('page');
      };
      const subscribe = (topics: string[]): void => {
        fanout.set('page', topics);
        live = live.filter((topic) => topics.includes(topic));
        step({ type: 'topics', topics: fanout.topics });
        // The exchange tells the page at once which of its topics are live.
        const known = topics.filter((topic) => hub.status.topics.includes(topic));
        for (const topic of known) if (!live.includes(topic)) load(topic);
        live = [...new Set([...live, ...known])];
      };
      const fire = (): void => {
        for (const name of ['topics', 'retry'] as const) {
          if (timers.delete(name)) step({ type: 'timer', name });
        }
      };
      const cut = (): void => {
        if (connection === null) return;
        const lost = connection;
        connection = null;
        gateway.topics = [];
        gateway.queue = [];
        step({ type: 'closed', connection: lost, problem: null });
      };

      let topics = ['notices'];
      subscribe(topics);
      for (const action of script) {
        if (action.type === 'publish') gateway.publish(action.topic);
        if (action.type === 'read') for (let index = 0; index < action.count; index += 1) read();
        if (action.type === 'timers') fire();
        if (action.type === 'flush') flush();
        if (action.type === 'cut') cut();
        if (action.type === 'restart') {
          gateway.restart();
          cut();
        }
        if (action.type === 'topics') {
          topics = action.topics;
          subscribe(topics);
        }
      }
      fire();
      while (gateway.queue.length > 0) read();
      flush();
      for (const topic of topics) expect(view.get(topic), topic).toBe(gateway.latest.get(topic) ?? 0);
    }),
    { numRuns: 300 },
  );
});

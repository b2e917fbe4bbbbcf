/** Keeps the measurements of a server back, and sends the page those of a longer time instead, faster than they are made. */

import { setTimeout as delay } from 'node:timers/promises';
import type { ServerMetrics, StreamEvent } from '../src/lib/api/types';
import { waitFor } from '../tests/support/environment';
import { EventProxy } from '../tests/support/event-proxy';

/** Tokens per second of the last measurement, which no other has. */
export const LAST_SPEED = 123.4;

interface Measurement {
  id: string;
  metrics: ServerMetrics;
}

export class Replay {
  /** The last real one. */
  private measured: Measurement | undefined;

  private constructor(private readonly proxy: EventProxy) {
    proxy.passes = (event) => !this.isMeasurement(event);
  }

  /** Forwards to a port of this machine. */
  static async start(target: number): Promise<Replay> {
    return new Replay(await EventProxy.start(target));
  }

  get url(): string {
    return this.proxy.url;
  }

  /** Sends one measurement for each second until now. */
  async play(seconds: number, intervalMs: number): Promise<void> {
    const { id, metrics } = await waitFor('a measurement of the server', () => this.measured);
    const end = Date.now();
    for (let second = 1; second <= seconds; second += 1) {
      const sent: ServerMetrics = {
        ...metrics,
        at_ms: end - (seconds - second) * 1_000,
        tokens_per_second: second === seconds ? LAST_SPEED : 20 + (second % 40),
        requests_total: second,
        completion_tokens_total: 40 * second,
      };
      this.proxy.send([{ topic: 'servers', event: { type: 'metrics', id, metrics: sent } }]);
      await delay(intervalMs);
    }
  }

  stop(): Promise<void> {
    return this.proxy.stop();
  }

  private isMeasurement(event: StreamEvent): boolean {
    if (event.topic !== 'servers' || event.event.type !== 'metrics') return false;
    this.measured = event.event;
    return true;
  }
}

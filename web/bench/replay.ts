/**
 * An HTTP proxy between the browser and the gateway. It keeps the measurements of a server back, and sends the page those of a
 * longer time instead, faster than they are made.
 */

import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerMetrics, StreamEvent } from '../src/lib/api/types';
import { waitFor } from '../tests/support/environment';

/** Tokens per second of the last measurement, which no other has. */
export const LAST_SPEED = 123.4;

interface Measurement {
  id: string;
  metrics: ServerMetrics;
}

export class Replay {
  private readonly server: Server;
  /** Open streams of events. */
  private readonly streams = new Set<ServerResponse>();
  /** The last real one. */
  private measured: Measurement | undefined;

  private constructor(private readonly target: number) {
    this.server = createServer((received, response) => this.forward(received, response));
  }

  /** Forwards to a port of this machine. */
  static async start(target: number): Promise<Replay> {
    const replay = new Replay(target);
    replay.server.listen(0, '127.0.0.1');
    await once(replay.server, 'listening');
    return replay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
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
      const event: StreamEvent = { topic: 'servers', event: { type: 'metrics', id, metrics: sent } };
      for (const stream of this.streams) stream.write(`data: ${JSON.stringify(event)}\n\n`);
      await delay(intervalMs);
    }
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private forward(received: IncomingMessage, response: ServerResponse): void {
    const { method, url: path, headers } = received;
    const isStream = path?.startsWith('/api/events') === true;
    if (isStream) headers['accept-encoding'] = 'identity';
    const forwarded = request({ host: '127.0.0.1', port: this.target, method, path, headers }, (gateway) => {
      response.writeHead(gateway.statusCode ?? 502, gateway.headers);
      if (isStream) this.forwardEvents(gateway, response);
      else gateway.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    received.pipe(forwarded);
  }

  /** Writes whole events only, so that others can be written between them. */
  private forwardEvents(gateway: IncomingMessage, response: ServerResponse): void {
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
    let rest = '';
    gateway.setEncoding('utf8');
    gateway.on('data', (text: string) => {
      const frames = (rest + text).split('\n\n');
      rest = frames.pop() ?? '';
      for (const frame of frames) if (!this.isMeasurement(frame)) response.write(`${frame}\n\n`);
    });
    gateway.on('end', () => response.end());
    gateway.on('error', () => response.destroy());
  }

  private isMeasurement(frame: string): boolean {
    const data = /^data: (.*)$/m.exec(frame)?.[1];
    if (data === undefined) return false;
    const event = JSON.parse(data) as StreamEvent;
    if (event.topic !== 'servers' || event.event.type !== 'metrics') return false;
    this.measured = event.event;
    return true;
  }
}

/**
 * An HTTP proxy between the browser and the gateway that can send the page events of its own, and keep those of the gateway back. What
 * it sends is only in the page: the gateway knows nothing of it.
 */

import { once } from 'node:events';
import { type IncomingMessage, type Server, type ServerResponse, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { StreamEvent } from '../../src/lib/api/types';
import { waitFor } from './environment';

export class EventProxy {
  /** Whether the page gets an event of the gateway. */
  passes: (event: StreamEvent) => boolean = () => true;
  private readonly server: Server;
  /** Open streams of events, with their addresses. */
  private readonly streams = new Map<ServerResponse, string>();

  private constructor(private readonly target: number) {
    this.server = createServer((received, response) => this.forward(received, response));
  }

  /** Forwards to a port of this machine. */
  static async start(target: number): Promise<EventProxy> {
    const proxy = new EventProxy(target);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Sends events to all pages. */
  send(events: readonly StreamEvent[]): void {
    const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
    for (const stream of this.streams.keys()) stream.write(text);
  }

  /** Waits until a page follows a topic. */
  async waitForTopic(topic: string): Promise<void> {
    const isFollowed = (address: string): boolean => decodeURIComponent(address).includes(topic);
    await waitFor(`a page that follows ${topic}`, () => [...this.streams.values()].some(isFollowed) || undefined);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private forward(received: IncomingMessage, response: ServerResponse): void {
    const { method, url: path = '/', headers } = received;
    const isStream = path.startsWith('/api/events');
    if (isStream) headers['accept-encoding'] = 'identity';
    const forwarded = request({ host: '127.0.0.1', port: this.target, method, path, headers }, (gateway) => {
      response.writeHead(gateway.statusCode ?? 502, gateway.headers);
      if (isStream) this.forwardEvents(gateway, response, path);
      else gateway.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    received.pipe(forwarded);
  }

  /** Writes whole events only, so that others can be written between them. */
  private forwardEvents(gateway: IncomingMessage, response: ServerResponse, path: string): void {
    this.streams.set(response, path);
    response.on('close', () => this.streams.delete(response));
    let rest = '';
    gateway.setEncoding('utf8');
    gateway.on('data', (text: string) => {
      const frames = (rest + text).split('\n\n');
      rest = frames.pop() ?? '';
      for (const frame of frames) if (this.isPassed(frame)) response.write(`${frame}\n\n`);
    });
    gateway.on('end', () => response.end());
    gateway.on('error', () => response.destroy());
  }

  private isPassed(frame: string): boolean {
    const data = /^data: (.*)$/m.exec(frame)?.[1];
    return data === undefined || this.passes(JSON.parse(data) as StreamEvent);
  }
}

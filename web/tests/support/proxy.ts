/**
 * A TCP proxy between the browser and the gateway. It can be cut, as a network, and it counts connections: requests of a shared worker
 * are visible only here.
 */

import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

export class Proxy {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private isCut = false;
  /** The path of the last request on each open connection. */
  private readonly latest = new Map<Socket, string>();
  /** First lines of requests. Later ones on the same connection are among them. */
  readonly requests: string[] = [];

  private constructor(private target: number) {
    this.server = createServer((client) => this.forward(client));
  }

  /** Forwards to a port of this machine. */
  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Open connections of the browser. */
  get connections(): number {
    return this.sockets.size / 2;
  }

  /** Open streams of events: connections whose last request was for one. */
  get streams(): number {
    return [...this.latest.values()].filter((path) => path.startsWith('/api/events')).length;
  }

  /** Closes all connections, and lets no new ones through. */
  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  restore(): void {
    this.isCut = false;
  }

  async stop(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private forward(client: Socket): void {
    if (this.isCut) {
      client.destroy();
      return;
    }
    const gateway = connect(this.target, '127.0.0.1');
    const close = () => {
      for (const socket of [client, gateway]) {
        this.sockets.delete(socket);
        this.latest.delete(socket);
        socket.destroy();
      }
    };
    for (const socket of [client, gateway]) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', close).on('close', close);
    }
    client.on('data', (chunk: Buffer) => {
      const [line, path] = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (\S+)/.exec(chunk.toString('latin1')) ?? [];
      if (line === undefined || path === undefined) return;
      this.requests.push(line);
      this.latest.set(client, path);
    });
    client.pipe(gateway);
    gateway.pipe(client);
  }
}

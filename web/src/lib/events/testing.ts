/** Events and objects for tests. */
import type { Download, LogEvent, Server, ServerMetrics, StreamEvent } from '../api/types';
import type { ToExchange, ToPage } from './exchange';
import type { HubStatus } from './hub';
import type { Send } from './link';
import { Events } from './client.svelte';

export function notice(message: string): StreamEvent {
  return { topic: 'notices', event: { level: 'info', code: 'test', message } };
}

export function reset(topics: string[]): StreamEvent {
  return { topic: 'reset', event: { topics } };
}

export function loading(id: string, loaded_bytes: number): StreamEvent {
  return { topic: 'servers', event: { type: 'loading', id, loaded_bytes, total_bytes: 100 } };
}

export function running(id: string, count: number): StreamEvent {
  return { topic: 'servers', event: { type: 'running', id, running: count } };
}

export function changed(entry: Server): StreamEvent {
  return { topic: 'servers', event: { type: 'changed', server: entry } };
}

export function measured(id: string, at_ms: number, fields: Partial<ServerMetrics> = {}): StreamEvent {
  return { topic: 'servers', event: { type: 'metrics', id, metrics: { at_ms, ...fields } } };
}

export function progress(id: string, done_bytes: number, bytes_per_second: number | null = null): StreamEvent {
  return { topic: 'downloads', event: { type: 'progress', id, done_bytes, bytes_per_second } };
}

export function logLine(source: string | null, offset: number, fields: Partial<LogEvent> = {}): StreamEvent {
  return { topic: 'logs', event: line(source, offset, fields) };
}

export function line(source: string | null, offset: number, fields: Partial<LogEvent> = {}): LogEvent {
  return {
    server: source,
    rotated_at_ms: 0,
    offset,
    message: `line ${offset}`,
    level: 'info',
    at_ms: offset,
    ...fields,
  };
}

export function server(id: string, fields: Partial<Server> = {}): Server {
  return {
    id,
    name: `owner/${id}`,
    path: `/models/${id}`,
    profiles: [],
    state: 'ready',
    capabilities: {},
    size: { context_length: 1024, kv_pool_tokens: 1024, plan_bytes: 1_000 },
    settings: {},
    ttl_seconds: 1800,
    pinned: false,
    running: 0,
    started_at_ms: 1,
    restarts: 0,
    pid: 7,
    ...fields,
  };
}

export function download(id: string, fields: Partial<Download> = {}): Download {
  return {
    id,
    repo_id: `owner/${id}`,
    revision: 'main',
    state: 'running',
    done_bytes: 0,
    total_bytes: 100,
    created_at_ms: 1,
    ...fields,
  };
}

/** A stream that a test controls: what the page sends, and what it gets. */
export function testStream(): {
  events: Events;
  sent: ToExchange[];
  receive: (message: ToPage) => void;
  live: (topics: string[]) => void;
} {
  const sent: ToExchange[] = [];
  let receive: (message: ToPage) => void = () => undefined;
  const events = new Events((onMessage): Send => {
    receive = onMessage;
    return (message) => sent.push(message);
  });
  events.start();
  const status: HubStatus = { state: 'live', topics: [], downSinceMs: null, retryAtMs: null, problem: null };
  return {
    events,
    sent,
    receive: (message) => receive(message),
    live: (topics) => receive({ type: 'status', status: { ...status, topics } }),
  };
}

/** Responses for requests of a store, by method and path; others fail. Returns the requests. */
export function testGateway(routes: Record<string, (body: unknown) => unknown>): {
  requests: string[];
  restore: () => void;
} {
  const requests: string[] = [];
  const original = globalThis.fetch;
  globalThis.fetch = async (input) => {
    const request = input instanceof Request ? input : new Request(input);
    const route = `${request.method} ${new URL(request.url).pathname}`;
    requests.push(route);
    const handler = routes[route];
    if (handler === undefined) throw new TypeError('no gateway');
    const text = await request.text();
    const body = await handler(text === '' ? null : JSON.parse(text));
    return body instanceof Response ? body : Response.json(body);
  };
  return { requests, restore: () => (globalThis.fetch = original) };
}

/** A rejection, as the gateway sends it. */
export function rejection(status: number, code: string): Response {
  const body = { type: `urn:mlxm:error:${code}`, title: code, status, detail: `It is ${code}.`, code };
  return Response.json(body, { status });
}

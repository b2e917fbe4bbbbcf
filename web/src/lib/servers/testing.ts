// Servers for tests.
import type { LiveRequest, Server } from '$lib/api';

/** A server that is ready and idle, with some values changed. */
export function server(changes: Partial<Server> = {}): Server {
  return {
    id: '01890000-0000-7000-8000-000000000001',
    name: 'mlx-community/Tiny-4bit',
    path: '/models/tiny',
    profiles: [],
    state: 'ready',
    detail: null,
    pid: 100,
    port: 10_240,
    version: '1.0.0',
    capabilities: {},
    size: { context_length: 8_192, kv_pool_tokens: 16_384, plan_bytes: 1_000_000_000 },
    settings: {},
    ttl_seconds: 1_800,
    pinned: false,
    running: 0,
    started_at_ms: 1_000,
    last_used_at_ms: null,
    restarts: 0,
    metrics: null,
    failure: null,
    ...changes,
  };
}

/** A server that failed with a code. */
export function failed(code: string, size: Partial<Server['size']> = {}, message = `failed: ${code}`): Server {
  const base = server({ state: 'failed', pid: null, port: null });
  return {
    ...base,
    size: { ...base.size, ...size },
    failure: { code, message, advice: 'see the log', log_tail: ['one', 'two'] },
  };
}

/** A request that generates, with some values changed. */
export function liveRequest(changes: Partial<LiveRequest> = {}): LiveRequest {
  return {
    id: '01890000-0000-7000-8000-0000000000aa',
    request_id: 'req_1',
    method: 'POST',
    endpoint: '/v1/chat/completions',
    requested: 'tiny',
    model: 'mlx-community/Tiny-4bit',
    profile: null,
    client: 'editor/1.0',
    started_at_ms: 1_000,
    state: 'decode',
    prompt_tokens: 1_200,
    cached_tokens: 900,
    computed_tokens: 1_200,
    completion_tokens: 20,
    ...changes,
  };
}

/** Text with ordinary spaces in place of the no-break ones between numbers and units. */
export function plain(text: string | null): string | null {
  return text === null ? null : text.replaceAll('\u00a0', ' ');
}

// When a server stops by itself, in words. No Svelte inside.
import type { Server } from '$lib/api';
import { duration } from '$lib/format';
import { stopsAtMs } from '$lib/memory/strip';

/** `stops in 12 min`; null if it is not running. */
export function schedule(server: Server, nowMs: number): string | null {
  if (server.state !== 'ready' && server.state !== 'unhealthy') return null;
  if (server.pinned) return 'pinned: stays in memory';
  if (server.ttl_seconds < 0) return 'stays until its memory is needed';
  if (server.ttl_seconds === 0) return 'stops when it is idle';
  const stopsAt = stopsAtMs(server);
  if (stopsAt === null) return `stops ${duration(server.ttl_seconds)} after the last request`;
  const seconds = Math.ceil((stopsAt - nowMs) / 1_000);
  return seconds > 0 ? `stops in ${duration(seconds)}` : 'stops now';
}

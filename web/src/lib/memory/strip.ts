// What the memory strip shows, computed from servers, the budget and the memory of the machine. No Svelte inside.
import type { MemoryPurposes, PoolPlan, Server, SystemMemory } from '$lib/api';

/** A part of the budget that a server has planned. */
export interface Segment {
  server: Server;
  /** Weights, KV cache and scratch together. */
  plannedBytes: number;
  /** The plan by purpose; null until it is known. */
  purposes: MemoryPurposes | null;
  /** The used part of the KV cache; null if it is not measured. */
  touchedKvBytes: number | null;
  /** Its place among the servers that would be evicted, from 1; null if it would not be. */
  evictionPosition: number | null;
  /** The previewed start would stop it. */
  evicted: boolean;
}

/** The strip as a whole, in bytes of the budget. */
export interface Strip {
  segments: Segment[];
  budgetBytes: number;
  usedBytes: number;
  /** Part of the unplanned budget that other programs use at the moment. */
  pressureBytes: number;
}

/** The process exists, so that its plan counts. */
export function isLive(server: Server): boolean {
  return (
    server.state === 'starting' ||
    server.state === 'ready' ||
    server.state === 'unhealthy' ||
    server.state === 'stopping' ||
    server.state === 'orphaned'
  );
}

/** When it stops by itself; null if it is busy, pinned or kept. */
export function stopsAtMs(server: Server): number | null {
  if (server.state !== 'ready' || server.running > 0 || server.pinned || server.ttl_seconds < 0) return null;
  return (server.last_used_at_ms ?? server.started_at_ms) + server.ttl_seconds * 1000;
}

/** Ids of the servers that can be evicted: those whose time has expired first, then the least recently used. */
export function evictionOrder(servers: readonly Server[], nowMs: number): string[] {
  const lastUse = (server: Server) => server.last_used_at_ms ?? server.started_at_ms;
  const isExpired = (server: Server) => {
    const stops = stopsAtMs(server);
    return stops !== null && stops <= nowMs;
  };
  return servers
    .filter((server) => server.state === 'ready' && server.running === 0 && !server.pinned)
    .toSorted((a, b) => Number(isExpired(b)) - Number(isExpired(a)) || lastUse(a) - lastUse(b))
    .map((server) => server.id);
}

/**
 * The part of the unplanned budget that is not available: what servers have planned and not touched yet has to come out of
 * the available memory, too.
 */
export function pressureBytes(memory: SystemMemory | null): number {
  if (memory === null || memory.available_bytes === null || memory.available_bytes === undefined) return 0;
  const unplanned = Math.max(0, memory.budget_bytes - memory.used_bytes);
  const untouched = memory.servers
    .map((server) => Math.max(0, server.plan_bytes - (server.resident_bytes ?? 0)))
    .reduce((sum, bytes) => sum + bytes, 0);
  const forOthers = Math.max(0, memory.available_bytes - untouched);
  return Math.max(0, unplanned - forOthers);
}

/** The strip. `purposes` has the plans that are known, by the id of the server. */
export function strip(
  servers: readonly Server[],
  budgetBytes: number,
  memory: SystemMemory | null,
  purposes: ReadonlyMap<string, MemoryPurposes>,
  plan: PoolPlan | null,
  nowMs: number,
): Strip {
  const live = servers.filter(isLive);
  const order = evictionOrder(live, nowMs);
  const stopped = plan?.outcome === 'evicts' ? plan.holders : [];
  const segments = live.map((server): Segment => {
    const known = purposes.get(server.id) ?? null;
    const usage = server.metrics?.kv_cache_usage ?? null;
    const position = order.indexOf(server.id);
    return {
      server,
      plannedBytes: server.size.plan_bytes,
      purposes: known,
      touchedKvBytes: known === null || usage === null ? null : known.kv_pool_bytes * usage,
      evictionPosition: position < 0 ? null : position + 1,
      evicted: stopped.some((holder) =>
        typeof holder.id === 'string'
          ? holder.id === server.id
          : holder.name === server.name && holder.plan_bytes === server.size.plan_bytes,
      ),
    };
  });
  const usedBytes = segments.reduce((sum, segment) => sum + segment.plannedBytes, 0);
  return { segments, budgetBytes, usedBytes, pressureBytes: pressureBytes(memory) };
}

/** Where the ghost is drawn, as parts of the bar's length. */
export interface GhostBar {
  start: number;
  /** Hatched: fits in the budget. */
  fits: number;
  /** Red: beyond the budget, cut off at the end of the bar. */
  beyond: number;
}

/** Length of the red end of a ghost that exceeds the budget, as part of the bar. */
const BEYOND = 0.04;

/**
 * The ghost in the unplanned part of the bar; null if there is nothing to draw there. The areas of servers that it would stop are
 * hatched where they are, so that only what they do not cover is left for it.
 */
export function ghostBar(current: Strip, plan: PoolPlan | null): GhostBar | null {
  if (plan === null || plan.outcome === 'ready' || current.budgetBytes <= 0) return null;
  const start = Math.min(1, current.usedBytes / current.budgetBytes);
  const size = plan.size?.plan_bytes;
  if (size === undefined) {
    // A start that waits has no size yet; only a rejected one exceeds the budget.
    if (plan.outcome !== 'rejected') return null;
    return { start: Math.min(start, 1 - BEYOND), fits: Math.max(0, 1 - BEYOND - start), beyond: BEYOND };
  }
  const covered = current.segments
    .filter((segment) => segment.evicted)
    .reduce((sum, segment) => sum + segment.plannedBytes, 0);
  const length = Math.max(0, size - covered) / current.budgetBytes;
  const fits = Math.min(length, 1 - start);
  return { start, fits, beyond: Math.min(BEYOND, length - fits) };
}

/** One sentence about the start: the gateway's, and for how long the servers that it stops have been idle. */
export function planSentence(
  plan: PoolPlan,
  servers: readonly Server[],
  nowMs: number,
  format: { bytes: (bytes: number) => string; duration: (ms: number) => string },
): string {
  const size = plan.size?.plan_bytes;
  if (plan.outcome !== 'evicts' || size === undefined || plan.holders.length === 0) return plan.message;
  const stopped = plan.holders.map((holder) => {
    const server = servers.find((server) => server.id === holder.id);
    if (server === undefined) return holder.name;
    const idleMs = nowMs - (server.last_used_at_ms ?? server.started_at_ms);
    return `${holder.name}, idle for ${format.duration(Math.max(0, idleMs))}`;
  });
  return `Needs ${format.bytes(size)}. Stops ${stopped.join(' and ')}.`;
}

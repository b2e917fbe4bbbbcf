// Sentences about the memory of servers. No Svelte inside.
import { bytes, duration, percent } from '$lib/format';
import type { Segment } from './strip';

/** All about a segment: what its tooltip says. */
export function segmentText(segment: Segment, nowMs: number): string {
  const { server, purposes } = segment;
  const parts = [`${server.name}: ${bytes(segment.plannedBytes)} planned`];
  const touched = server.metrics?.resident_bytes;
  if (typeof touched === 'number') parts.push(`${bytes(touched)} touched`);
  const sentences = [`${parts.join(', ')}.`];
  if (purposes !== null) {
    const usage = server.metrics?.kv_cache_usage;
    const used = typeof usage === 'number' ? ` (${percent(usage)} used)` : '';
    sentences.push(
      `Weights ${bytes(purposes.weights_bytes)}, KV cache ${bytes(purposes.kv_pool_bytes)}${used}, scratch ${bytes(purposes.scratch_bytes)}.`,
    );
  }
  sentences.push(...activity(segment, nowMs));
  return sentences.join(' ');
}

function activity(segment: Segment, nowMs: number): string[] {
  const { server } = segment;
  if (server.state === 'starting') return ['Starting.'];
  if (server.state === 'stopping') return ['Stopping: its memory counts until the process has exited.'];
  if (server.running > 0) return [`${server.running} running.`];
  const idleMs = Math.max(0, nowMs - (server.last_used_at_ms ?? server.started_at_ms));
  const sentences = [`Idle for ${duration(idleMs / 1_000)}.`];
  if (server.pinned) sentences.push('Pinned: it is not stopped for other models.');
  else if (segment.evictionPosition === 1) sentences.push('The first to be stopped for another model.');
  else if (segment.evictionPosition !== null)
    sentences.push(`Number ${segment.evictionPosition} to be stopped for another model.`);
  return sentences;
}

// What a server uses of the machine, in words. No Svelte inside.
import type { Server, ServerMetrics } from '$lib/api';
import { bytes, percent } from '$lib/format';
import { peak } from './history';

/** CPU time as part of the machine, or in cores while their number is not known; null if it is not measured. */
export function cpu(metrics: ServerMetrics | null | undefined, usableCpus: number | null): Use | null {
  const used = metrics?.cpu_percent;
  if (typeof used !== 'number') return null;
  const cores = used / 100;
  if (usableCpus === null || usableCpus <= 0) {
    return { text: `${cores.toFixed(1)} cores`, share: null };
  }
  // Measurements of short times can exceed it a little.
  const share = Math.min(1, cores / usableCpus);
  return { text: percent(share), share };
}

/** GPU time as part of the whole GPU; null where it is not measured. */
export function gpu(metrics: ServerMetrics | null | undefined): Use | null {
  const used = metrics?.gpu_percent;
  if (typeof used !== 'number') return null;
  const share = Math.min(1, used / 100);
  return { text: percent(share), share };
}

export interface Use {
  text: string;
  /** From 0 to 1; null if it is not known of what it is a part. */
  share: number | null;
}

/** `21.3 GB planned · 18.9 GB touched · peak 19.2 GB`, as parts. */
export function memoryParts(server: Server, history: readonly ServerMetrics[]): string[] {
  const parts = [`${bytes(server.size.plan_bytes)} planned`];
  const touched = server.metrics?.resident_bytes;
  if (typeof touched === 'number') {
    parts.push(`${bytes(touched)} touched`);
    const largest = peak(history, (metrics) => metrics.resident_bytes);
    if (largest !== null && bytes(largest) !== bytes(touched)) parts.push(`peak ${bytes(largest)}`);
  }
  return parts;
}

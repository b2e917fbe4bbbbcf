/** The measurements of one server that the gateway keeps, and those since. */
import { api, type MetricsRange, type ServerMetrics, type StreamEvent } from '$lib/api';
import { events, Resource } from '$lib/events';

const MINUTE_MS = 60_000;

/** How far back a range reaches, and how far apart its measurements can be without a gap between them. */
export const RANGES: Readonly<Record<MetricsRange, { ms: number; gapMs: number }>> = {
  '15m': { ms: 15 * MINUTE_MS, gapMs: 15_000 },
  '24h': { ms: 24 * 60 * MINUTE_MS, gapMs: 90_000 },
};

export class ServerSamples extends Resource {
  readonly range: MetricsRange;
  /** Oldest first. Those of 24 hours are minutes. */
  list = $state.raw<readonly ServerMetrics[]>([]);
  readonly #server: string;

  constructor(server: string, range: MetricsRange, stream = events) {
    super(stream, ['servers']);
    this.#server = server;
    this.range = range;
  }

  /** No longer live. */
  close(): void {
    this.unsubscribe();
  }

  protected async fetch(): Promise<() => void> {
    const params = { path: { id: this.#server }, query: { range: this.range } };
    const { samples } = await api.get('/api/servers/{id}/metrics', { params });
    return () => (this.list = samples);
  }

  protected reduce(event: StreamEvent): void {
    if (event.topic !== 'servers' || event.event.type !== 'metrics' || event.event.id !== this.#server) return;
    const { metrics } = event.event;
    this.list = this.range === '15m' ? withSample(this.list, metrics) : withMinute(this.list, metrics);
  }
}

function withSample(list: readonly ServerMetrics[], metrics: ServerMetrics): readonly ServerMetrics[] {
  const last = list.at(-1);
  if (last !== undefined && last.at_ms >= metrics.at_ms) return list;
  return recent([...list, metrics], metrics.at_ms - RANGES['15m'].ms);
}

/** A minute that has begun since the list was read is as it was measured last; the gateway knows its mean. */
function withMinute(list: readonly ServerMetrics[], metrics: ServerMetrics): readonly ServerMetrics[] {
  const minute = { ...metrics, at_ms: Math.floor(metrics.at_ms / MINUTE_MS) * MINUTE_MS };
  const last = list.at(-1);
  if (last !== undefined && last.at_ms > minute.at_ms) return list;
  const before = last?.at_ms === minute.at_ms ? list.slice(0, -1) : list;
  return recent([...before, minute], metrics.at_ms - RANGES['24h'].ms);
}

function recent(list: readonly ServerMetrics[], fromMs: number): readonly ServerMetrics[] {
  const start = list.findIndex(({ at_ms }) => at_ms > fromMs);
  return start > 0 ? list.slice(start) : list;
}

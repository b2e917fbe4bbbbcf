// Series of the charts of a server, all from `fromMs` to `toMs`, so that they share one axis. No Svelte inside.
import type { AuditRow, ServerMetrics } from '$lib/api';
import { duration, integer } from '$lib/format';
import type { Series } from '$lib/ui';

export interface Chart {
  label: string;
  /** After numbers. */
  unit?: string;
  times: number[];
  series: Series[];
  /** The axis of time. */
  from: number;
  to: number;
  /** The end of the axis of values, where it is known. */
  max?: number;
  /** How values are written. */
  kind: 'number' | 'bytes' | 'percent' | 'milliseconds';
}

export interface Span {
  fromMs: number;
  toMs: number;
}

type Color = Series['color'];

/** Charts of measurements. A line has a gap where there is none for longer than `gapMs`. */
export function metricCharts(
  samples: readonly ServerMetrics[],
  span: Span,
  gapMs: number,
  planBytes: number,
  color: Color,
): Chart[] {
  const measured = withGaps(
    samples.filter(({ at_ms }) => at_ms >= span.fromMs && at_ms <= span.toMs),
    gapMs,
  );
  const times = measured.map(({ atMs }) => atMs);
  const points = (value: (metrics: ServerMetrics) => number | null | undefined) =>
    measured.map(({ metrics }) => (metrics === null ? null : (value(metrics) ?? null)));
  const axis = { times, from: span.fromMs, to: span.toMs };
  const isKnown = (values: readonly (number | null)[]) => values.some((value) => value !== null);
  const line = (label: string, values: (number | null)[], fill = true): Series => ({
    label,
    points: values,
    color,
    fill,
  });
  const cache = (): Pick<Chart, 'unit' | 'kind' | 'max' | 'series'> => {
    const total = samples.findLast((metrics) => metrics.kv_blocks_total != null)?.kv_blocks_total;
    if (total == null)
      return {
        kind: 'percent',
        max: 1,
        series: [
          line(
            'Used',
            points((m) => m.kv_cache_usage),
          ),
        ],
      };
    const series = [
      line(
        `Used of ${integer(total)}`,
        points((m) => m.kv_blocks_used),
      ),
    ];
    return { kind: 'number', unit: 'blocks', max: Math.max(1, total), series };
  };
  const gpu = points((metrics) => metrics.gpu_percent);
  const cpu = points((metrics) => metrics.cpu_percent);
  const use = [line('CPU (100% is a core)', cpu)];
  if (isKnown(gpu)) use.push({ label: 'GPU', points: gpu, color: 'ink' });
  return [
    {
      ...axis,
      label: 'Throughput',
      unit: 'tok/s',
      kind: 'number',
      series: [
        line(
          'Generated',
          points((m) => m.tokens_per_second),
        ),
      ],
    },
    {
      ...axis,
      label: 'Queue',
      kind: 'number',
      series: [
        line(
          'Waiting',
          points((m) => m.waiting),
        ),
      ],
    },
    { ...axis, label: 'KV cache', ...cache() },
    {
      ...axis,
      label: 'Memory',
      kind: 'bytes',
      max: planBytes,
      series: [
        line(
          'Touched',
          points((m) => m.resident_bytes),
        ),
      ],
    },
    { ...axis, label: isKnown(gpu) ? 'CPU and GPU' : 'CPU', unit: '%', kind: 'number', series: use },
  ];
}

interface Point {
  atMs: number;
  metrics: ServerMetrics | null;
}

function withGaps(samples: readonly ServerMetrics[], gapMs: number): Point[] {
  const points: Point[] = [];
  for (const metrics of samples) {
    const last = points.at(-1);
    if (last !== undefined && metrics.at_ms - last.atMs > gapMs) points.push({ atMs: last.atMs + 1, metrics: null });
    points.push({ atMs: metrics.at_ms, metrics });
  }
  return points;
}

/** Charts of requests that have ended, in equal intervals. */
export function requestCharts(rows: readonly AuditRow[], span: Span, intervals: number, color: Color): Chart[] {
  const length = (span.toMs - span.fromMs) / intervals;
  const groups: AuditRow[][] = Array.from({ length: intervals }, () => []);
  for (const row of rows) groups[Math.floor((row.at_ms - span.fromMs) / length)]?.push(row);
  // An interval is a level from its start to its end, so that one between empty ones can be seen.
  const times = groups.flatMap((_, index) => [span.fromMs + index * length, span.fromMs + (index + 1) * length - 1]);
  const known = (group: readonly AuditRow[], value: (row: AuditRow) => number | null | undefined) =>
    group.map(value).filter((one): one is number => typeof one === 'number');
  const medians = (value: (row: AuditRow) => number | null | undefined) =>
    groups.map((group) => median(known(group, value)));
  const sums = (value: (row: AuditRow) => number | null | undefined) =>
    groups.map((group) => known(group, value).reduce((sum, one) => sum + one, 0));
  const line = (label: string, values: (number | null)[]): Series => ({
    label,
    points: values.flatMap((value) => [value, value]),
    color,
    fill: true,
  });
  const axis = { times, from: span.fromMs, to: span.toMs };
  const per = `per ${duration(length / 1_000)}`;
  const firstTokens = medians((row) => row.time_to_first_token_ms);
  const queues = medians((row) => row.queue_ms);
  return [
    {
      ...axis,
      label: 'Requests',
      kind: 'number',
      series: [
        line(
          per,
          groups.map((group) => group.length),
        ),
      ],
    },
    {
      ...axis,
      label: 'Generated tokens',
      kind: 'number',
      series: [
        line(
          per,
          sums((row) => row.completion_tokens),
        ),
      ],
    },
    { ...axis, label: 'Time to first token', kind: 'milliseconds', series: [line('Median', firstTokens)] },
    { ...axis, label: 'Time in queues', kind: 'milliseconds', series: [line('Median', queues)] },
  ];
}

/** The middle value; null without values. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

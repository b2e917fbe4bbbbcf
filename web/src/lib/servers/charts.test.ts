import { describe, expect, it } from 'vitest';
import type { AuditRow, ServerMetrics } from '$lib/api';
import { auditRow } from '$lib/audit/testing';
import { median, metricCharts, requestCharts } from './charts';

const SPAN = { fromMs: 0, toMs: 60_000 };
const GAP = 15_000;

function row(atMs: number, changes: Partial<AuditRow> = {}): AuditRow {
  const times = { id: String(atMs), at_ms: atMs, time_to_first_token_ms: 100, completion_tokens: 5 };
  return auditRow({ ...times, ...changes });
}

describe('metricCharts', () => {
  const at = (atMs: number, tokens_per_second: number): ServerMetrics => ({ at_ms: atMs, tokens_per_second });

  it('have the axis of the span', () => {
    const [throughput] = metricCharts([at(1_000, 5), at(2_000, 7)], SPAN, GAP, 10, 1);
    expect(throughput).toMatchObject({ from: 0, to: 60_000, times: [1_000, 2_000] });
    expect(throughput?.series[0]?.points).toEqual([5, 7]);
  });

  it('have gaps where nothing was measured, and leave out what is older', () => {
    const [throughput] = metricCharts([at(-5, 1), at(1_000, 5), at(30_000, 7)], SPAN, GAP, 10, 1);
    expect(throughput?.times).toEqual([1_000, 1_001, 30_000]);
    expect(throughput?.series[0]?.points).toEqual([5, null, 7]);
  });

  it('show blocks of the cache if they are counted, and else its used part', () => {
    const cache = (metrics: Partial<ServerMetrics>) =>
      metricCharts([{ at_ms: 1, ...metrics }], SPAN, GAP, 10, 1).find(({ label }) => label === 'KV cache');
    const counted = cache({ kv_blocks_used: 2, kv_blocks_total: 8, kv_cache_usage: 0.25 });
    expect(counted).toMatchObject({ unit: 'blocks', max: 8, series: [{ label: 'Used of 8', points: [2] }] });
    expect(cache({ kv_cache_usage: 0.25 })).toMatchObject({ kind: 'percent', max: 1, series: [{ points: [0.25] }] });
  });

  it('show the GPU only where it is measured', () => {
    const labels = (history: ServerMetrics[]) => metricCharts(history, SPAN, GAP, 10, 1).at(-1)?.series.length;
    expect(labels([{ at_ms: 1, cpu_percent: 5 }])).toBe(1);
    expect(labels([{ at_ms: 1, cpu_percent: 5, gpu_percent: 5 }])).toBe(2);
  });
});

describe('requestCharts', () => {
  const rows = [
    row(1_000),
    row(2_000, { time_to_first_token_ms: 300, completion_tokens: null }),
    row(59_999),
    row(60_000),
  ];

  it('count and sum in equal intervals, each a level', () => {
    const [requests, tokens, firstToken] = requestCharts(rows, SPAN, 2, 1);
    expect(requests?.times).toEqual([0, 29_999, 30_000, 59_999]);
    expect(requests?.series[0]?.points).toEqual([2, 2, 1, 1]);
    expect(tokens?.series[0]?.points).toEqual([5, 5, 5, 5]);
    expect(firstToken?.series[0]?.points).toEqual([200, 200, 100, 100]);
  });

  it('have gaps without requests', () => {
    const [requests, , firstToken] = requestCharts([row(1_000)], SPAN, 2, 1);
    expect(requests?.series[0]?.points).toEqual([1, 1, 0, 0]);
    expect(firstToken?.series[0]?.points).toEqual([100, 100, null, null]);
  });
});

it('the median is the middle', () => {
  expect([[], [3], [3, 1], [9, 1, 2]].map(median)).toEqual([null, 3, 2, 2]);
});

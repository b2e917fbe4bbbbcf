import { describe, expect, it } from 'vitest';
import type { ServerMetrics } from '$lib/api';
import { peak, perSecond, requestRates } from './history';

function at(seconds: number, changes: Partial<ServerMetrics> = {}): ServerMetrics {
  return { at_ms: seconds * 1_000, ...changes };
}

const history = [at(0, { tokens_per_second: 1 }), at(1, { tokens_per_second: 2 }), at(3, { tokens_per_second: 3 })];
const speed = (metrics: ServerMetrics) => metrics.tokens_per_second;

describe('perSecond', () => {
  it('has a value for each second, and none before the first', () => {
    expect(perSecond(history, 6, 4_000, speed)).toEqual([null, 1, 2, 2, 3, 3]);
  });

  it('has gaps where measurements are missing', () => {
    expect(perSecond(history, 2, 20_000, speed)).toEqual([null, null]);
    expect(perSecond([], 2, 20_000, speed)).toEqual([null, null]);
    expect(perSecond([at(1)], 1, 1_000, speed)).toEqual([null]);
  });
});

it('peak is the largest value', () => {
  expect(peak(history, speed)).toBe(3);
  expect(peak(history, (metrics) => metrics.gpu_percent)).toBeNull();
  expect(peak([at(0, { cpu_percent: 0 })], (metrics) => metrics.cpu_percent)).toBe(0);
});

it('rates of requests need two measurements of one process', () => {
  const counters = [at(1, { requests_total: 4 }), at(3, { requests_total: 8 }), at(4, { requests_total: 0 }), at(5)];
  expect(requestRates(counters)).toEqual([null, 2, null, null]);
});

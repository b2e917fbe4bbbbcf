import { describe, expect, it } from 'vitest';
import { areaPath, largest, linePath, nearest, niceMaximum, place, sampled, timeTicks } from './chart';

describe('niceMaximum', () => {
  it.each([
    [0, 1],
    [-3, 1],
    [Number.NaN, 1],
    [1, 1],
    [1.01, 2],
    [41.2, 50],
    [100, 100],
    [0.3, 0.5],
    [2.1e9, 2.5e9],
  ])('%d → %d', (value, expected) => {
    expect(niceMaximum(value)).toBeCloseTo(expected, 9);
  });
});

describe('paths', () => {
  const points = [{ x: 0, y: 10 }, { x: 1, y: 5 }, null, { x: 3, y: 0 }, { x: 4, y: 2 }];

  it('a line has a gap for null', () => {
    expect(linePath(points)).toBe('M0 10L1 5M3 0L4 2');
  });

  it('an area is closed on both sides of a gap', () => {
    expect(areaPath(points, 10)).toBe('M0 10L1 5L1 10L0 10ZM3 0L4 2L4 10L3 10Z');
  });

  it('one point has no area, and none has no path', () => {
    expect(areaPath([{ x: 1, y: 1 }], 10)).toBe('');
    expect(linePath([])).toBe('');
    expect(linePath([null])).toBe('');
  });
});

describe('place', () => {
  const box = { from: 1000, to: 2000, maximum: 10, width: 100, height: 50 };

  it('puts times on the width and numbers on the height, upwards', () => {
    expect(place([1000, 1500, 2000], [0, 5, 10], box)).toEqual([
      { x: 0, y: 50 },
      { x: 50, y: 25 },
      { x: 100, y: 0 },
    ]);
  });

  it('keeps gaps, cuts what is too high, and survives an empty span', () => {
    expect(place([1000, 2000, 2000], [null, 99], box)).toEqual([null, { x: 100, y: 0 }, null]);
    expect(place([5], [1], { ...box, from: 5, to: 5 })).toEqual([{ x: 0, y: 45 }]);
  });
});

it('largest ignores gaps', () => {
  expect(largest([[1, null, 4], [2]])).toBe(4);
  expect(largest([])).toBe(0);
});

describe('nearest', () => {
  it.each([
    [-5, 0],
    [14, 0],
    [16, 1],
    [24, 1],
    [999, 3],
  ])('of time %d is index %d', (time, index) => {
    expect(nearest([10, 20, 30, 40], time)).toBe(index);
  });

  it('is -1 without times', () => {
    expect(nearest([], 1)).toBe(-1);
  });
});

describe('timeTicks', () => {
  it('are round, inside, and not more than asked for', () => {
    const from = Date.UTC(2026, 10, 29, 12, 3, 20);
    const ticks = timeTicks(from, from + 15 * 60_000, 5);
    expect(ticks.length).toBeGreaterThan(1);
    expect(ticks.length).toBeLessThanOrEqual(5);
    for (const tick of ticks) expect(tick % 300_000).toBe(0);
  });

  it('are none without a span', () => {
    expect(timeTicks(5, 5, 4)).toEqual([]);
    expect(timeTicks(5, 4, 4)).toEqual([]);
  });
});

it('sampled has the first and the last row', () => {
  expect(sampled(3, 20)).toEqual([0, 1, 2]);
  const rows = sampled(900, 20);
  expect(rows).toHaveLength(20);
  expect([rows[0], rows.at(-1)]).toEqual([0, 899]);
  expect(new Set(rows).size).toBe(20);
});

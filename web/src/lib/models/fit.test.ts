import { expect, test } from 'vitest';
import type { PlanOutcome, PoolPlan } from '$lib/api';
import { estimate, fitOfPlan, fitOfSize, largestWeights } from './fit';

const GB = 1e9;

function plan(outcome: PlanOutcome, more: Partial<PoolPlan> = {}): PoolPlan {
  return {
    model: 'a/b',
    outcome,
    holders: [],
    budget_bytes: 10 * GB,
    used_bytes: 0,
    message: 'Needs 2.0 GB, which are free.',
    ...more,
  };
}

test('the dry run decides for a model on this machine', () => {
  const size = { context_length: 8192, kv_pool_tokens: 8192, plan_bytes: 2 * GB };
  expect(fitOfPlan(plan('fits', { size }))).toEqual({
    state: 'fits',
    label: 'Fits',
    detail: 'Needs 2.0 GB, which are free.',
    bytes: 2 * GB,
  });
  const holder = { name: 'c/d', plan_bytes: GB, running: 0 };
  expect(fitOfPlan(plan('evicts', { holders: [holder] })).label).toBe('Stops 1 idle model');
  expect(fitOfPlan(plan('evicts', { holders: [holder, holder] })).label).toBe('Stops 2 idle models');
  expect(fitOfPlan(plan('rejected', { code: 'model_does_not_fit' })).label).toBe('Too large');
  expect(fitOfPlan(plan('rejected', { code: 'memory_pinned' })).label).toMatch(/^Pinned/);
  expect(fitOfPlan(plan('ready')).state).toBe('ready');
  expect(fitOfPlan(plan('waits')).state).toBe('waits');
});

test('a size on the hub is compared with the budget', () => {
  const states = [1, 5, 8, 10].map((size) => fitOfSize(size * GB, 10 * GB).state);
  expect(states).toEqual(['fits', 'fits', 'tight', 'too_large']);
  expect(fitOfSize(null, 10 * GB).state).toBe('unknown');
  expect(fitOfSize(0, 10 * GB).state).toBe('unknown');
  expect(fitOfSize(GB, null).state).toBe('unknown');
});

test('the largest weights are those whose estimate is the budget', () => {
  const weights = largestWeights(10 * GB);
  expect(estimate(weights)).toBeLessThanOrEqual(10 * GB);
  expect(estimate(weights + 1)).toBeGreaterThan(10 * GB - 1);
  expect(largestWeights(1e6)).toBe(0);
});

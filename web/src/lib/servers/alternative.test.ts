import { describe, expect, it } from 'vitest';
import type { PoolPlan, PoolPlanRequest, Result } from '$lib/api';
import { context, contextThatFits, smallerStart, type WaitingStart } from './alternative';

function rejected(largest: number | null): PoolPlan {
  return {
    model: 'a',
    outcome: 'rejected',
    size: null,
    memory: null,
    holders: [],
    budget_bytes: 10,
    used_bytes: 0,
    code: 'model_does_not_fit',
    message: 'too large',
    largest_context: largest,
  };
}

describe('smallerStart', () => {
  it('has the largest usual context that fits', () => {
    const start = smallerStart({ model: 'a' }, rejected(20_000));
    expect(start).toEqual({ model: 'a', settings: { context_length: 16_384 } });
    expect(start && context(start)).toBe('16k');
    expect(smallerStart({ model: 'a' }, rejected(16_384))?.settings?.context_length).toBe(16_384);
  });

  it('keeps the other settings of a profile', () => {
    const start = smallerStart({ profile: 'p' }, rejected(9_000), { max_sequences: 2, kv_pool_tokens: 99 });
    expect(start).toEqual({ profile: 'p', settings: { max_sequences: 2, context_length: 8_192 } });
  });

  it('is nothing where no context fits, or the start is accepted', () => {
    expect(smallerStart({ model: 'a' }, rejected(1_000))).toBeNull();
    expect(smallerStart({ model: 'a' }, rejected(null))).toBeNull();
    expect(smallerStart({ model: 'a' }, { ...rejected(20_000), outcome: 'waits' })).toBeNull();
  });
});

const waiting: WaitingStart = { model: 'm', load: { kv_pool_tokens: 99, device: 'cpu' }, contextLength: 40_960 };

function planning(outcomes: Record<number, PoolPlan['outcome']>): {
  plan: (request: PoolPlanRequest) => Promise<Result<PoolPlan>>;
  asked: PoolPlanRequest[];
} {
  const asked: PoolPlanRequest[] = [];
  const plan = async (request: PoolPlanRequest): Promise<Result<PoolPlan>> => {
    asked.push(request);
    const outcome = outcomes[request.settings?.context_length ?? 0] ?? 'waits';
    return { ok: true, value: { outcome } as PoolPlan };
  };
  return { plan, asked };
}

it('finds the longest context that fits, with the other settings', async () => {
  const { plan, asked } = planning({ 16_384: 'fits', 8_192: 'fits' });
  expect(await contextThatFits(waiting, plan)).toBe(16_384);
  expect(asked).toEqual([
    { model: 'm', settings: { device: 'cpu', context_length: 32_768 } },
    { model: 'm', settings: { device: 'cpu', context_length: 16_384 } },
  ]);
});

it('takes the place of what is idle, but does not wait', async () => {
  expect(await contextThatFits(waiting, planning({ 4_096: 'evicts' }).plan)).toBe(4_096);
  expect(await contextThatFits(waiting, planning({}).plan)).toBeNull();
  expect(await contextThatFits({ ...waiting, contextLength: 4_096 }, planning({ 4_096: 'fits' }).plan)).toBeNull();
});

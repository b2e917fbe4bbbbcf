import { describe, expect, it } from 'vitest';
import type { PoolPlan } from '$lib/api';
import { context, smallerStart } from './alternative';

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

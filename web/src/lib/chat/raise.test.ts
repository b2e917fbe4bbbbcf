import { expect, it } from 'vitest';

import type { LocalModel, PoolPlan } from '$lib/api';
import { server } from '$lib/events/testing';

import { costText, largerContext } from './raise';
import type { Target } from './targets';

const running = server('s', {
  size: { context_length: 8_192, kv_pool_tokens: 8_192, plan_bytes: 2e9 },
  settings: { context_length: 8_192, kv_pool_tokens: 8_192 },
});

function target(most: number, fields: Partial<Target> = {}): Target {
  const local = { characteristics: { context_length: most } } as LocalModel;
  return {
    name: 'm',
    title: 'm',
    profile: null,
    model: 'm',
    local,
    server: running,
    color: 1,
    badges: [],
    reason: null,
    ...fields,
  };
}

it('is twice the context, up to that of the model', () => {
  expect(largerContext(target(32_768))).toEqual({
    contextLength: 16_384,
    request: { model: 'm', settings: { context_length: 16_384 } },
  });
  expect(largerContext(target(10_000))?.contextLength).toBe(10_000);
  expect(largerContext(target(8_192))).toBeNull();
  expect(largerContext(target(32_768, { server: null }))).toBeNull();
});

it('says what it costs', () => {
  const plan = { outcome: 'fits', size: { plan_bytes: 3.2e9 } } as PoolPlan;
  expect(costText(plan, 2e9).replaceAll('\u00a0', ' ')).toBe(' (+1.2 GB, fits)');
  expect(costText(null, 2e9)).toBe('');
});

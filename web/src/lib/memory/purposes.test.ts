import { describe, expect, it, vi } from 'vitest';
import type { PoolPlan, PoolPlanRequest, Result } from '$lib/api';
import { server } from '$lib/servers/testing';
import { Purposes } from './purposes.svelte';

const MEMORY = { weights_bytes: 700_000_000, kv_pool_bytes: 200_000_000, scratch_bytes: 100_000_000 };

function planOf(planBytes: number) {
  return vi.fn((request: PoolPlanRequest): Promise<Result<PoolPlan>> => {
    const plan: PoolPlan = {
      model: request.model ?? '',
      outcome: 'ready',
      size: { context_length: 8_192, kv_pool_tokens: 16_384, plan_bytes: planBytes },
      memory: MEMORY,
      holders: [],
      budget_bytes: 10,
      used_bytes: 1,
      code: null,
      message: '',
      largest_context: null,
    };
    return Promise.resolve({ ok: true, value: plan });
  });
}

describe('Purposes', () => {
  it('asks once for a server, by its profile if it has one', async () => {
    const plan = planOf(1_000_000_000);
    const purposes = new Purposes(plan);
    const servers = [server({ id: 'a' }), server({ id: 'b', profiles: ['coder'] })];
    purposes.update(servers);
    purposes.update(servers);
    await vi.waitFor(() => expect(purposes.known.size).toBe(2));
    expect(plan.mock.calls.map(([request]) => request)).toEqual([
      { model: 'mlx-community/Tiny-4bit', settings: {} },
      { profile: 'coder' },
    ]);
    expect(purposes.known.get('a')).toEqual(MEMORY);
    purposes.update(servers.slice(1));
    expect([...purposes.known.keys()]).toEqual(['b']);
  });

  it('does not take the plan of another size', async () => {
    const plan = planOf(5);
    const purposes = new Purposes(plan);
    purposes.update([server()]);
    await vi.waitFor(() => expect(plan).toHaveBeenCalled());
    await Promise.resolve();
    expect(purposes.known.size).toBe(0);
  });
});

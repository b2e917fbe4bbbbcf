import { describe, expect, it } from 'vitest';
import type { PoolPlan, SystemMemory } from '$lib/api';
import { server } from '$lib/servers/testing';
import { evictionOrder, ghostBar, planSentence, pressureBytes, stopsAtMs, strip } from './strip';

const GB = 1_000_000_000;

function plan(changes: Partial<PoolPlan>): PoolPlan {
  return {
    model: 'new',
    outcome: 'fits',
    size: { context_length: 8_192, kv_pool_tokens: 8_192, plan_bytes: 2 * GB },
    memory: null,
    holders: [],
    budget_bytes: 10 * GB,
    used_bytes: 0,
    code: null,
    message: 'Needs 2.0 GB, which are free.',
    largest_context: null,
    ...changes,
  };
}

describe('evictionOrder', () => {
  it('begins with expired servers, then takes the least recently used, and no busy or pinned one', () => {
    const servers = [
      server({ id: 'new', last_used_at_ms: 90_000 }),
      server({ id: 'old', last_used_at_ms: 10_000 }),
      server({ id: 'expired', last_used_at_ms: 50_000, ttl_seconds: 1 }),
      server({ id: 'busy', running: 1, last_used_at_ms: 1 }),
      server({ id: 'pinned', pinned: true, last_used_at_ms: 1 }),
      server({ id: 'starting', state: 'starting' }),
    ];
    expect(evictionOrder(servers, 100_000)).toEqual(['expired', 'old', 'new']);
  });
});

describe('stopsAtMs', () => {
  it('counts from the last use, and else from the start', () => {
    expect(stopsAtMs(server({ ttl_seconds: 60, last_used_at_ms: 5_000 }))).toBe(65_000);
    expect(stopsAtMs(server({ ttl_seconds: 60, started_at_ms: 1_000 }))).toBe(61_000);
  });

  it('is unknown for servers that stay', () => {
    for (const changes of [{ ttl_seconds: -1 }, { pinned: true }, { running: 1 }, { state: 'starting' as const }])
      expect(stopsAtMs(server(changes))).toBeNull();
  });
});

describe('pressureBytes', () => {
  const memory: SystemMemory = {
    budget_bytes: 10 * GB,
    used_bytes: 4 * GB,
    available_bytes: 9 * GB,
    gateway_resident_bytes: 0,
    limits: [],
    servers: [{ id: 'a', name: 'a', plan_bytes: 4 * GB, resident_bytes: 3 * GB, running: 0, pinned: false }],
  };

  it('is the part of the free budget that others use', () => {
    expect(pressureBytes(memory)).toBe(0);
    expect(pressureBytes({ ...memory, available_bytes: 5 * GB })).toBe(2 * GB);
    expect(pressureBytes({ ...memory, available_bytes: 0 })).toBe(6 * GB);
  });

  it('is zero where nothing is known', () => {
    expect(pressureBytes(null)).toBe(0);
    expect(pressureBytes({ ...memory, available_bytes: null })).toBe(0);
  });
});

describe('strip', () => {
  const a = server({ id: 'a', name: 'a', size: { context_length: 1, kv_pool_tokens: 1, plan_bytes: 4 * GB } });
  const b = server({ id: 'b', name: 'b', size: { context_length: 1, kv_pool_tokens: 1, plan_bytes: 3 * GB } });

  function of(preview: PoolPlan | null) {
    return strip([a, b, server({ id: 'c', state: 'failed' })], 10 * GB, null, new Map(), preview, 0);
  }

  it('has the servers whose process exists', () => {
    const current = of(null);
    expect(current.segments.map((segment) => segment.server.id)).toEqual(['a', 'b']);
    expect(current.usedBytes).toBe(7 * GB);
    expect(ghostBar(current, null)).toBeNull();
    expect(ghostBar(current, plan({ outcome: 'ready' }))).toBeNull();
  });

  it('hatches what fits and marks what exceeds the budget', () => {
    expect(ghostBar(of(null), plan({}))).toEqual({ start: 0.7, fits: expect.closeTo(0.2), beyond: 0 });
    const large = plan({ outcome: 'waits', size: { context_length: 1, kv_pool_tokens: 1, plan_bytes: 6 * GB } });
    expect(ghostBar(of(null), large)).toEqual({ start: 0.7, fits: expect.closeTo(0.3), beyond: 0.04 });
    const rejected = plan({ outcome: 'rejected', size: null, code: 'model_does_not_fit' });
    expect(ghostBar(of(null), rejected)).toMatchObject({ start: 0.7, beyond: 0.04 });
    expect(ghostBar(of(null), plan({ outcome: 'waits', size: null }))).toBeNull();
  });

  it('strikes through what would be stopped', () => {
    const holder = { id: 'a', name: 'a', plan_bytes: 4 * GB, running: 0 };
    const evicts = plan({
      outcome: 'evicts',
      holders: [holder],
      size: { context_length: 1, kv_pool_tokens: 1, plan_bytes: 5 * GB },
    });
    const current = of(evicts);
    expect(current.segments.map((segment) => segment.evicted)).toEqual([true, false]);
    expect(ghostBar(current, evicts)).toEqual({ start: 0.7, fits: expect.closeTo(0.1), beyond: 0 });
    const format = { bytes: (bytes: number) => `${bytes / GB} GB`, duration: (ms: number) => `${ms} ms` };
    expect(planSentence(evicts, [a, b], 1_500, format)).toBe('Needs 5 GB. Stops a, idle for 500 ms.');
    expect(planSentence(plan({}), [a, b], 0, format)).toBe('Needs 2.0 GB, which are free.');
  });
});

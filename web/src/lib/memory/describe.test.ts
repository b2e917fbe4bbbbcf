import { describe, expect, it } from 'vitest';
import type { Server } from '$lib/api';
import { plain, server } from '$lib/servers/testing';
import { segmentText } from './describe';
import type { Segment } from './strip';

const PURPOSES = { weights_bytes: 7_000_000_000, kv_pool_bytes: 2_000_000_000, scratch_bytes: 1_000_000_000 };
const SIZE = { context_length: 8_192, kv_pool_tokens: 16_384, plan_bytes: 10_000_000_000 };

function text(changes: Partial<Server>, others: Partial<Segment> = {}, nowMs = 0): string | null {
  const one = server({ name: 'tiny', size: SIZE, ...changes });
  const segment: Segment = {
    server: one,
    plannedBytes: one.size.plan_bytes,
    purposes: PURPOSES,
    touchedKvBytes: null,
    evictionPosition: null,
    evicted: false,
    ...others,
  };
  return plain(segmentText(segment, nowMs));
}

describe('segmentText', () => {
  it('has the plan by purpose and what is touched', () => {
    const metrics = { at_ms: 1, resident_bytes: 8_000_000_000, kv_cache_usage: 0.25 };
    const busy = text({ metrics, running: 2 });
    expect(busy).toContain('tiny: 10.0 GB planned, 8.0 GB touched.');
    expect(busy).toContain('KV cache 2.0 GB (25% used)');
    expect(busy).toContain('2 running.');
  });

  it('says when an idle server would be stopped', () => {
    expect(text({}, { evictionPosition: 1 }, 61_000)).toContain('Idle for 1 min. The first to be stopped');
    expect(text({}, { evictionPosition: 2 })).toContain('Number 2 to be stopped');
    expect(text({ pinned: true })).toContain('Pinned');
  });

  it('leaves out what is not known', () => {
    expect(text({ state: 'starting' }, { purposes: null })).toBe('tiny: 10.0 GB planned. Starting.');
  });
});

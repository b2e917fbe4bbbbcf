import { describe, expect, it } from 'vitest';
import type { Server } from '$lib/api';
import { schedule } from './schedule';
import { plain, server } from './testing';

describe('schedule', () => {
  const text = (changes: Partial<Server>, nowMs: number) => plain(schedule(server(changes), nowMs));

  it('counts down while the server is idle', () => {
    const idle = { ttl_seconds: 1_800, last_used_at_ms: 0 };
    expect(text(idle, 60_000)).toBe('stops in 29 min');
    expect(text(idle, 10_000_000)).toBe('stops now');
  });

  it('says the time after the last request while it is busy', () => {
    expect(text({ ttl_seconds: 1_800, running: 1 }, 0)).toBe('stops 30 min after the last request');
  });

  it('says that a server stays', () => {
    expect(text({ pinned: true }, 0)).toContain('pinned');
    expect(text({ ttl_seconds: -1 }, 0)).toContain('stays');
    expect(text({ ttl_seconds: 0 }, 0)).toContain('idle');
  });

  it('has nothing for servers that are not running', () => {
    expect(text({ state: 'starting' }, 0)).toBeNull();
    expect(text({ state: 'failed' }, 0)).toBeNull();
  });
});

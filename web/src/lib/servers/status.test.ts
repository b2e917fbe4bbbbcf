import { describe, expect, it } from 'vitest';
import type { Server } from '$lib/api';
import { activity, bits, cachedShare, status, subtitle, title, totalTokens } from './status';
import { failed, server } from './testing';

describe('status', () => {
  it('says what a ready server does', () => {
    expect(status(server())).toEqual({ tone: 'ok', label: 'Ready', detail: 'idle' });
    const busy = server({ running: 2, metrics: { at_ms: 1, waiting: 1 } });
    expect(activity(busy)).toBe('2 running, 1 waiting');
  });

  it('has a word for every state', () => {
    const states: Server['state'][] = [
      'starting',
      'ready',
      'unhealthy',
      'restarting',
      'failed',
      'stopping',
      'stopped',
      'orphaned',
    ];
    const labels = states.map((state) => status(server({ state })).label);
    expect(new Set(labels).size).toBe(states.length);
  });

  it('says why a server restarts', () => {
    const restarting: Server = { ...failed('crashed'), state: 'restarting' };
    expect(status(restarting).detail).toBe('failed: crashed');
  });
});

describe('names', () => {
  it('are those of the profiles, and else of the model', () => {
    expect(title(server())).toBe('Tiny-4bit');
    expect(subtitle(server())).toEqual([]);
    const shared = server({ profiles: ['coder', 'writer'] });
    expect(title(shared)).toBe('coder');
    expect(subtitle(shared)).toEqual(['writer', 'Tiny-4bit']);
  });

  it('tell the quantization', () => {
    expect(bits('mlx-community/Qwen3-0.6B-4bit')).toBe('4-bit');
    expect(bits('a/b-8bit-DWQ')).toBe('8-bit');
    expect(bits('a/b_6-bit')).toBe('6-bit');
    for (const name of ['a/Qwen3-4B', 'a/bitnet', 'a/b-bf16']) expect(bits(name)).toBeNull();
  });
});

describe('totals', () => {
  it('are of prompts and completions', () => {
    const metrics = { at_ms: 1, prompt_tokens_total: 80, cached_tokens_total: 60, completion_tokens_total: 20 };
    expect(totalTokens(server({ metrics }))).toBe(100);
    expect(cachedShare(server({ metrics }))).toBe(0.75);
  });

  it('are unknown before they are measured', () => {
    expect(totalTokens(server())).toBeNull();
    expect(totalTokens(server({ metrics: { at_ms: 1 } }))).toBeNull();
    const metrics = { at_ms: 1, prompt_tokens_total: 0, cached_tokens_total: 0 };
    expect(cachedShare(server({ metrics }))).toBeNull();
  });
});

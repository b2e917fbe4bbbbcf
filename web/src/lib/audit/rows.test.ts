import { describe, expect, it } from 'vitest';
import { plain } from '$lib/servers/testing';
import { cachedText, detailsOf, statusText, statusTone, tokensText, totalsParts } from './rows';
import { auditRow } from './testing';

const NOTHING = { prompt_tokens: null, cached_tokens: null, completion_tokens: null, time_to_first_token_ms: null };

describe('rows', () => {
  it('say how a request ended', () => {
    expect(statusText(auditRow())).toBe('200');
    expect(statusText(auditRow({ status: 499 }))).toBe('499 cancelled');
    expect(statusText(auditRow({ status: 503, error_kind: 'queue_timeout' }))).toBe('503 queue_timeout');
    expect([200, 400, 499, 500].map(statusTone)).toEqual(['ok', 'warn', 'neutral', 'bad']);
  });

  it('have a dash where nothing was computed', () => {
    expect(tokensText(auditRow())).toBe('100 → 20');
    expect(cachedText(auditRow())).toBe('75%');
    expect(tokensText(auditRow(NOTHING))).toBe('–');
    expect(cachedText(auditRow(NOTHING))).toBe('–');
    expect(cachedText(auditRow({ prompt_tokens: 0, cached_tokens: 0 }))).toBe('–');
  });

  it('leave out details that are unknown', () => {
    const labels = (row: Parameters<typeof detailsOf>[0]) => detailsOf(row, String).map(({ label }) => label);
    expect(labels(auditRow())).toContain('Time to first token');
    expect(labels(auditRow(NOTHING))).not.toContain('Time to first token');
  });
});

it('totals are one line', () => {
  const totals = {
    requests: 2,
    errors: 1,
    prompt_tokens: 200,
    cached_tokens: 100,
    completion_tokens: 40,
    duration_ms: 3_000,
  };
  expect(totalsParts(totals).map(plain)).toEqual([
    '2 requests',
    '1 failed',
    '200 prompt tokens, 50% cached',
    '40 generated',
    '1.5 s on average',
  ]);
  const none = { requests: 0, errors: 0, prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, duration_ms: 0 };
  expect(totalsParts(none).map(plain)).toEqual(['0 requests', '0 prompt tokens', '0 generated']);
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  contextUse,
  DEFAULT_RATIO,
  estimateTokens,
  learnRatio,
  otherCharacters,
  partsNow,
  type Counted,
  type Lengths,
} from './context';

const lengths: fc.Arbitrary<Lengths> = fc.record({
  system: fc.nat(10_000),
  history: fc.nat(500_000),
  attachments: fc.nat(500_000),
  draft: fc.nat(50_000),
});

describe('estimates', () => {
  it('have a token for any text, and none without one', () => {
    expect(estimateTokens(0, 4)).toBe(0);
    expect(estimateTokens(1, 4)).toBe(1);
    expect(estimateTokens(400, 4)).toBe(100);
  });

  it('come close to what is counted, and a short text changes them little', () => {
    const long = learnRatio(DEFAULT_RATIO, 40_000, 20_000);
    expect(long).toBe(2);
    expect(learnRatio(DEFAULT_RATIO, 40, 20)).toBeCloseTo(3.98);
    expect(learnRatio(DEFAULT_RATIO, 0, 0)).toBe(DEFAULT_RATIO);
    expect(learnRatio(DEFAULT_RATIO, 1_000_000, 1)).toBe(12);
  });

  it('with a learned ratio are never further from the count than before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), fc.double({ min: 0.3, max: 11, noNaN: true }), (size, real) => {
        const tokens = Math.max(1, Math.round(size / real));
        const ratio = learnRatio(DEFAULT_RATIO, size, tokens);
        const actual = Math.min(12, Math.max(0.25, size / tokens));
        expect(Math.abs(ratio - actual)).toBeLessThanOrEqual(Math.abs(DEFAULT_RATIO - actual) + 1e-9);
      }),
    );
  });
});

describe('partsNow', () => {
  it('is what was counted while nothing changes', () => {
    fc.assert(
      fc.property(lengths, fc.nat(9_000), (now, tokens) => {
        const parts = { system: tokens, history: tokens + 1, attachments: tokens + 2, draft: now.draft === 0 ? 0 : 7 };
        const counted: Counted = { parts, draftCharacters: now.draft, otherCharacters: otherCharacters(now) };
        expect(partsNow(now, counted, DEFAULT_RATIO)).toEqual(parts);
      }),
    );
  });

  it('corrects the draft by what was typed since', () => {
    const parts = { system: 10, history: 100, attachments: 0, draft: 25 };
    const counted: Counted = { parts, draftCharacters: 100, otherCharacters: 440 };
    const now = { system: 40, history: 400, attachments: 0, draft: 140 };
    expect(partsNow(now, counted, 4)).toEqual({ ...parts, draft: 35 });
    expect(partsNow({ ...now, draft: 0 }, counted, 4).draft).toBe(0);
  });

  it('estimates everything if something else changed', () => {
    const parts = { system: 10, history: 100, attachments: 0, draft: 25 };
    const counted: Counted = { parts, draftCharacters: 100, otherCharacters: 440 };
    const now = { system: 40, history: 800, attachments: 0, draft: 100 };
    expect(partsNow(now, counted, 4)).toEqual({ system: 10, history: 200, attachments: 0, draft: 25 });
  });
});

describe('contextUse', () => {
  const parts = { system: 100, history: 700, attachments: 0, draft: 0 };

  it('offers something from 85% on, and says when nothing is left', () => {
    expect(contextUse(parts, 1_000, null, true)).toMatchObject({ used: 800, response: 200, level: 'ok', share: 0.8 });
    expect(contextUse({ ...parts, draft: 50 }, 1_000, null, true).level).toBe('near');
    expect(contextUse({ ...parts, draft: 400 }, 1_000, null, true)).toMatchObject({ level: 'full', response: 0 });
  });

  it('shows a limit of the response, and no share without a context length', () => {
    expect(contextUse(parts, 1_000, 64, false)).toMatchObject({ response: 64, isExact: false });
    expect(contextUse(parts, null, null, false)).toMatchObject({ share: null, limit: null, level: 'ok' });
  });

  it('never shows more than the context', () => {
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 200_000 }), fc.option(fc.nat(100_000)), (now, limit, most) => {
        const use = contextUse(partsNow(now, null, DEFAULT_RATIO), limit, most, false);
        expect(Math.min(use.used, limit) + use.response).toBeLessThanOrEqual(limit);
        expect(use.level === 'full').toBe(use.used >= limit);
      }),
    );
  });
});

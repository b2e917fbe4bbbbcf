import { expect, it } from 'vitest';
import { server } from './testing';
import { totals } from './totals';

it('sums what is known', () => {
  const metrics = { at_ms: 1, waiting: 2, tokens_per_second: 1.5, prompt_tokens_total: 10, completion_tokens_total: 5 };
  expect(totals([server({ running: 1, metrics }), server({ running: 2 })])).toEqual({
    servers: 2,
    running: 3,
    waiting: 2,
    tokensPerSecond: 1.5,
    requests: 0,
    tokens: 15,
  });
  expect(totals([]).servers).toBe(0);
});

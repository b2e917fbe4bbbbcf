import { expect, test } from 'vitest';
import type { ServerSize } from '$lib/api';
import { contextRows } from './contexts';

const MB = 1e6;

function size(context: number, pool: number): ServerSize {
  return { context_length: context, kv_pool_tokens: pool, plan_bytes: 1000 * MB + pool * 1e5 };
}

const sizes = [size(32_000, 64_000), size(32_000, 32_000), size(8_000, 16_000), size(8_000, 8_000)];

test('rows are by context length and separate what does not depend on it', () => {
  expect(contextRows(sizes, null, 4500 * MB, 2000 * MB)).toEqual([
    {
      contextLength: 8_000,
      fixedBytes: 1000 * MB,
      contextBytes: 800 * MB,
      secondBytes: 800 * MB,
      totalBytes: 1800 * MB,
      fits: 'free',
    },
    {
      contextLength: 32_000,
      fixedBytes: 1000 * MB,
      contextBytes: 3200 * MB,
      secondBytes: 3200 * MB,
      totalBytes: 4200 * MB,
      fits: 'budget',
    },
  ]);
});

test('the purposes of a dry run are used if they are known', () => {
  const fixed = { weights_bytes: 900 * MB, kv_pool_bytes: 0, scratch_bytes: 200 * MB };
  const rows = contextRows(sizes, fixed, 100 * MB, 0);
  expect(rows.map((row) => row.fixedBytes)).toEqual([1100 * MB, 1100 * MB]);
  expect(rows.map((row) => row.fits)).toEqual(['no', 'no']);
});

test('a single size has no second context', () => {
  expect(contextRows([size(8_000, 8_000)], null, 0, 0)).toMatchObject([
    { fixedBytes: 0, secondBytes: 0, totalBytes: 1800 * MB },
  ]);
  expect(contextRows([], null, 0, 0)).toEqual([]);
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isAtEnd, visibleRows } from './virtual';

it('shows every visible row, and few others', () => {
  fc.assert(
    fc.property(fc.nat(20_000), fc.nat(1_000_000), fc.integer({ min: 1, max: 2000 }), (count, scrollTop, height) => {
      const rowHeight = 20;
      const { first, end } = visibleRows(scrollTop, height, rowHeight, count);
      expect(first).toBeGreaterThanOrEqual(0);
      expect(end).toBeLessThanOrEqual(count);
      for (let row = Math.floor(scrollTop / rowHeight); row * rowHeight < scrollTop + height && row < count; row++) {
        expect(row).toBeGreaterThanOrEqual(first);
        expect(row).toBeLessThan(end);
      }
      expect(end - first).toBeLessThanOrEqual(height / rowHeight + 27);
    }),
  );
});

it('has no rows without items', () => {
  expect(visibleRows(0, 500, 20, 0)).toEqual({ first: 0, end: 0 });
});

it('is at the end within one row', () => {
  expect(isAtEnd(500, 100, 600, 20)).toBe(true);
  expect(isAtEnd(480.5, 100, 600, 20)).toBe(true);
  expect(isAtEnd(470, 100, 600, 20)).toBe(false);
});

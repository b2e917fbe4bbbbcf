import fc from 'fast-check';
import { expect, it } from 'vitest';
import { position, type Placement } from './floating';

const viewport = { width: 1000, height: 800 };
const anchor = { left: 100, top: 100, width: 80, height: 30 };
const layer = { width: 200, height: 120 };
const below: Placement = { side: 'bottom', align: 'start', gap: 4 };

it('is on its side, aligned with the anchor', () => {
  expect(position(anchor, layer, viewport, below)).toEqual({ left: 100, top: 134 });
  expect(position({ ...anchor, left: 500 }, layer, viewport, { ...below, align: 'end' })).toEqual({
    left: 380,
    top: 134,
  });
  expect(position({ ...anchor, left: 500 }, layer, viewport, { ...below, align: 'center' })).toEqual({
    left: 440,
    top: 134,
  });
  expect(position(anchor, layer, viewport, { side: 'right', align: 'start', gap: 4 })).toEqual({ left: 184, top: 100 });
});

it('is on the opposite side where there is more space', () => {
  expect(position({ ...anchor, top: 750 }, layer, viewport, below).top).toBe(626);
  expect(position(anchor, layer, viewport, { side: 'left', align: 'start', gap: 4 }).left).toBe(184);
});

it('never leaves a window that is large enough', () => {
  const box = fc.record({
    left: fc.integer({ min: 0, max: 990 }),
    top: fc.integer({ min: 0, max: 790 }),
    width: fc.integer({ min: 1, max: 300 }),
    height: fc.integer({ min: 1, max: 60 }),
  });
  const side = fc.constantFrom('top', 'right', 'bottom', 'left');
  const align = fc.constantFrom('start', 'center', 'end');
  fc.assert(
    fc.property(box, side, align, (at, chosen, aligned) => {
      const { left, top } = position(at, layer, viewport, { side: chosen, align: aligned, gap: 4 });
      expect(left).toBeGreaterThanOrEqual(8);
      expect(top).toBeGreaterThanOrEqual(8);
      expect(left + layer.width).toBeLessThanOrEqual(992);
      expect(top + layer.height).toBeLessThanOrEqual(792);
    }),
  );
});

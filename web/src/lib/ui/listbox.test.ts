import { describe, expect, it } from 'vitest';
import { beginningWith, moved, nextUsable } from './listbox';

const usable = [false, true, true, false, true];

describe('nextUsable', () => {
  it('leaves out what cannot be used, and goes around', () => {
    expect(nextUsable(usable, -1, 1)).toBe(1);
    expect(nextUsable(usable, 2, 1)).toBe(4);
    expect(nextUsable(usable, 4, 1)).toBe(1);
    expect(nextUsable(usable, 1, -1)).toBe(4);
    expect(nextUsable(usable, -1, -1)).toBe(4);
  });

  it('stays on the only one, and is -1 without any', () => {
    expect(nextUsable([false, true], 1, 1)).toBe(1);
    expect(nextUsable([false, false], -1, 1)).toBe(-1);
    expect(nextUsable([], -1, -1)).toBe(-1);
  });
});

it('keys lead to the ends, and others nowhere', () => {
  expect(moved('Home', usable, 4)).toBe(1);
  expect(moved('End', usable, 1)).toBe(4);
  expect(moved('ArrowDown', usable, 1)).toBe(2);
  expect(moved('ArrowUp', usable, 2)).toBe(1);
  expect(moved('a', usable, 2)).toBeNull();
});

it('letters find the next entry that begins with them', () => {
  const texts = ['Delete', 'Duplicate', 'Delete all', 'Export', 'Download'];
  const all = texts.map(() => true);
  expect(beginningWith(texts, all, 0, 'd')).toBe(1);
  expect(beginningWith(texts, all, 4, 'd')).toBe(0);
  expect(beginningWith(texts, usable, -1, 'de')).toBe(2);
  expect(beginningWith(texts, all, 0, 'x')).toBe(-1);
});

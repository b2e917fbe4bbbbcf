import { describe, expect, it } from 'vitest';
import { areInConflict, pressed, Sequence, SEQUENCE_MS, worksInFields, type KeyPress } from './keys';

const key = (name: string, code = '', modifiers: Partial<KeyPress> = {}): KeyPress => ({
  key: name,
  code,
  metaKey: false,
  ctrlKey: false,
  altKey: false,
  shiftKey: false,
  ...modifiers,
});

describe('pressed', () => {
  it.each([
    ['a letter', key('g', 'KeyG'), false, 'g'],
    ['a capital letter', key('G', 'KeyG', { shiftKey: true }), false, 'shift+g'],
    ['a sign that needs Shift', key('?', 'Slash', { shiftKey: true }), false, '?'],
    ['a sign that needs no Shift on this keyboard', key('?', 'Minus'), false, '?'],
    ['Ctrl', key('k', 'KeyK', { ctrlKey: true }), false, 'mod+k'],
    ['⌘', key('k', 'KeyK', { metaKey: true }), true, 'mod+k'],
    ['Control on a Mac', key('k', 'KeyK', { ctrlKey: true }), true, 'ctrl+k'],
    ['⌘⇧', key('o', 'KeyO', { metaKey: true, shiftKey: true }), true, 'mod+shift+o'],
    ['a letter of another script', key('п', 'KeyG'), false, 'g'],
    ['what Option makes of a letter', key('©', 'KeyG', { altKey: true }), true, 'alt+g'],
    ['an arrow', key('ArrowUp', 'ArrowUp'), false, 'up'],
    ['Shift with a named key', key('Enter', 'Enter', { shiftKey: true }), false, 'shift+enter'],
    ['space', key(' ', 'Space'), false, 'space'],
  ])('%s', (_, event, onApple, expected) => {
    expect(pressed(event, onApple)).toBe(expected);
  });

  it('is nothing for modifiers and input methods', () => {
    expect(pressed(key('Shift', 'ShiftLeft', { shiftKey: true }), false)).toBeNull();
    expect(pressed(key('Process', 'KeyA'), false)).toBeNull();
  });
});

describe('Sequence', () => {
  const all = ['g s', 'g m', 's', '/'];

  it('completes one press at once', () => {
    expect(new Sequence().feed('/', all, 0)).toBe('/');
  });

  it('completes two presses, and prefers them to one', () => {
    const sequence = new Sequence();
    expect(sequence.feed('g', all, 0)).toBeNull();
    expect(sequence.feed('s', all, 500)).toBe('g s');
    expect(sequence.feed('s', all, 600)).toBe('s');
  });

  it('forgets the first after a second', () => {
    const sequence = new Sequence();
    sequence.feed('g', all, 0);
    expect(sequence.feed('m', all, SEQUENCE_MS + 1)).toBeNull();
  });

  it('forgets the first after another key', () => {
    const sequence = new Sequence();
    sequence.feed('g', all, 0);
    expect(sequence.feed('x', all, 1)).toBeNull();
    expect(sequence.feed('m', all, 2)).toBeNull();
  });

  it('begins again with the same first key', () => {
    const sequence = new Sequence();
    sequence.feed('g', all, 0);
    expect(sequence.feed('g', all, 10)).toBeNull();
    expect(sequence.feed('m', all, 20)).toBe('g m');
  });
});

it('only keys with a modifier work in fields', () => {
  expect(['mod+k', 'alt+x', 'ctrl+k'].every(worksInFields)).toBe(true);
  expect(['g s', '?', '/', 'shift+o'].some(worksInFields)).toBe(false);
});

describe('areInConflict', () => {
  it.each([
    ['the same keys', 'g s', 'g s', true],
    ['the beginning of a sequence', 'g', 'g s', true],
    ['a sequence that begins with keys of their own', 'g s', 'g', true],
    ['two sequences', 'g s', 'g m', false],
    ['a key that only begins with the same letter', 'g', 'mod+g', false],
    ['names with the same beginning', 'e', 'end', false],
  ])('%s', (_, one, other, expected) => {
    expect(areInConflict(one, other)).toBe(expected);
  });
});

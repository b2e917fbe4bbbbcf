import { describe, expect, it } from 'vitest';
import { shownKeys } from './keys';
import { grouped, matching } from './options';
import { modelColor } from './styles';

const options = [
  { value: 'a', label: 'Coder', group: 'Profiles', detail: 'Qwen3' },
  { value: 'b', label: 'mlx-community/Qwen3-8B-4bit', group: 'Models' },
  { value: 'c', label: 'Qwen chat', group: 'Profiles', keywords: ['assistant'] },
];
const values = (query: string) => matching(options, query).map(({ value }) => value);

describe('matching', () => {
  it('is all without a query', () => {
    expect(matching(options, '  ')).toBe(options);
  });

  it('finds words in labels, details and keywords, beginnings first', () => {
    expect(values('qwen')).toEqual(['c', 'a', 'b']);
    expect(values('assistant')).toEqual(['c']);
    expect(values('4bit qwen3')).toEqual(['b']);
    expect(values('llama')).toEqual([]);
  });
});

it('groups keep the order of their first option', () => {
  expect(grouped(options).map(({ name, options: list }) => [name, list.length])).toEqual([
    ['Profiles', 2],
    ['Models', 1],
  ]);
});

describe('shownKeys', () => {
  it('names keys as the keyboard does', () => {
    expect(shownKeys('mod+shift+o', true)).toEqual([['⌘', '⇧', 'O']]);
    expect(shownKeys('mod+k', false)).toEqual([['Ctrl', 'K']]);
    expect(shownKeys('g s', false)).toEqual([['G'], ['S']]);
    expect(shownKeys('escape', false)).toEqual([['Esc']]);
  });
});

it('modelColor is one of eight, or none', () => {
  expect([1, 8, 0, 9, 1.5, null, undefined].map(modelColor)).toEqual([1, 8, ...Array<undefined>(5).fill(undefined)]);
});

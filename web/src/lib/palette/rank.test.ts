import { describe, expect, it } from 'vitest';
import { rank } from './rank';

const items = [
  { label: 'Start mlx-community/Qwen3-8B-4bit', keywords: ['load'] },
  { label: 'Servers' },
  { label: 'Settings', keywords: ['preferences'] },
  { label: 'mlx-community/Qwen3-8B-4bit' },
];
const labels = (query: string) => rank(items, query).map(({ label }) => label);

describe('rank', () => {
  it('keeps the order without a query', () => {
    expect(rank(items, ' ')).toEqual(items);
  });

  it('puts labels that begin with the query first', () => {
    expect(labels('se')).toEqual(['Servers', 'Settings']);
    expect(labels('settings')).toEqual(['Settings']);
  });

  it('needs every word, in any order and any part of the label', () => {
    expect(labels('8b start')).toEqual(['Start mlx-community/Qwen3-8B-4bit']);
    expect(labels('qwen start nothing')).toEqual([]);
  });

  it('finds other words of an entry', () => {
    expect(labels('prefer')).toEqual(['Settings']);
    expect(labels('load')).toEqual(['Start mlx-community/Qwen3-8B-4bit']);
  });

  it('limits the number of results', () => {
    expect(rank(items, 's', 1)).toHaveLength(1);
  });
});

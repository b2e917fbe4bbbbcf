import { describe, expect, it } from 'vitest';
import type { Profile } from '$lib/api';
import { sorted } from './sort';

function profile(name: string, port?: number): Profile {
  return { id: name, config: { name, model: `org/${name}`, port }, created_at_ms: 0, updated_at_ms: 0 };
}

const all = [profile('m10', 2), profile('M2'), profile('a', 1)];
const names = (list: readonly Profile[]): string[] => list.map((each) => each.config.name);

describe('the order of profiles', () => {
  it('is that of their creation at first', () => {
    expect(names(sorted(all, null))).toEqual(['m10', 'M2', 'a']);
  });

  it('has numbers in names in the order of numbers', () => {
    expect(names(sorted(all, { key: 'name', descending: false }))).toEqual(['a', 'M2', 'm10']);
    expect(names(sorted(all, { key: 'model', descending: true }))).toEqual(['m10', 'M2', 'a']);
  });

  it('has profiles without a port last, in both directions', () => {
    expect(names(sorted(all, { key: 'port', descending: false }))).toEqual(['a', 'm10', 'M2']);
    expect(names(sorted(all, { key: 'port', descending: true }))).toEqual(['m10', 'a', 'M2']);
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import type { ProfileConfig } from '$lib/api';
import { profiles } from '$lib/profiles/store.svelte';
import { colors, Colors, modelColor, serverColor, serverPaint } from './colors.svelte';

function storage(content: string | null = null) {
  const items = new Map(content === null ? [] : [['mlxm.model-colors', content]]);
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  };
}

describe('Colors', () => {
  it('assigns in order, and the same again after a reload', () => {
    const store = storage();
    const colors = new Colors(store);
    colors.assign(['b', 'a']);
    colors.assign(['a', 'c']);
    expect(['b', 'a', 'c', 'd'].map((name) => colors.of(name))).toEqual([1, 2, 3, undefined]);
    const later = new Colors(store);
    expect(['b', 'a', 'c'].map((name) => later.of(name))).toEqual([1, 2, 3]);
  });

  it('begins again after the eighth', () => {
    const colors = new Colors(null);
    colors.assign(Array.from({ length: 9 }, (_, index) => `m${index}`));
    expect(colors.of('m8')).toBe(1);
  });

  it('does without a storage that is damaged or full', () => {
    for (const content of ['{', '{"a":1}', '[1]']) expect(new Colors(storage(content)).of('a')).toBeUndefined();
    const full = {
      getItem: () => null,
      setItem: () => {
        throw new Error('full');
      },
    };
    const colors = new Colors(full);
    colors.assign(['a']);
    expect(colors.of('a')).toBe(1);
  });
});

describe('colors of servers', () => {
  function add(id: string, config: Partial<ProfileConfig>): void {
    const complete = { name: id, model: 'org/model', ...config };
    profiles.items.set(id, { id, config: complete, created_at_ms: 1, updated_at_ms: 1 });
  }

  afterEach(() => profiles.items.clear());

  it('are those of their first profile', () => {
    add('a', { color: 3 });
    add('b', { color: 5 });
    expect(serverColor({ name: 'org/model', profiles: ['b', 'a'] })).toBe(5);
    expect(serverPaint({ name: 'org/model', profiles: ['b'] })).toBe('var(--s5)');
  });

  it('are those of their model, whose first profile counts, without a profile', () => {
    add('a', { color: 3 });
    expect(serverColor({ name: 'org/model', profiles: [] })).toBe(3);
    expect(serverColor({ name: 'org/model', profiles: ['removed'] })).toBe(3);
    colors.assign(['org/other']);
    expect(serverColor({ name: 'org/other', profiles: [] })).toBe(colors.of('org/other'));
    expect(serverPaint({ name: 'org/unknown', profiles: [] })).toBe('var(--ink-3)');
  });

  it('are one of eight, whatever the gateway sends', () => {
    add('a', { color: 12 });
    expect(modelColor('org/model')).toBe(colors.of('org/model'));
  });
});

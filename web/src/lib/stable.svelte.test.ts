import { flushSync } from 'svelte';
import { expect, test } from 'vitest';

import { stable } from './stable.svelte';

test('an object stays the same while its JSON does, and what depends on it is not computed again', () => {
  let servers = $state.raw([{ name: 'a', at_ms: 1 }]);
  const seen: (readonly string[])[] = [];
  const destroy = $effect.root(() => {
    const names = stable(() => servers.map(({ name }) => name));
    $effect(() => {
      seen.push(names.current);
    });
  });
  flushSync();
  servers = [{ name: 'a', at_ms: 2 }];
  flushSync();
  expect(seen).toEqual([['a']]);
  servers = [
    { name: 'a', at_ms: 3 },
    { name: 'b', at_ms: 3 },
  ];
  flushSync();
  expect(seen).toEqual([['a'], ['a', 'b']]);
  destroy();
});

test('nothing is a value, too', () => {
  let value = $state.raw<{ a: number } | null>(null);
  const destroy = $effect.root(() => {
    const kept = stable(() => value);
    expect(kept.current).toBeNull();
    value = { a: 1 };
    expect(kept.current).toEqual({ a: 1 });
    const before = kept.current;
    value = { a: 1 };
    expect(kept.current).toBe(before);
    value = null;
    expect(kept.current).toBeNull();
  });
  destroy();
});

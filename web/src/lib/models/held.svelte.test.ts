import { flushSync } from 'svelte';
import { expect, test } from 'vitest';
import { HeldList } from './held.svelte';

test('new rows wait until they are asked for, or the list is another one', () => {
  let names = $state(['b', 'd']);
  let key = $state('by name');
  const destroy = $effect.root(() => {
    const list = new HeldList(
      () => names,
      (name) => name,
      () => key,
    );
    expect(list.shown).toEqual(['b', 'd']);
    names = ['a', 'b', 'c', 'd'];
    flushSync();
    expect([list.shown, list.held]).toEqual([
      ['b', 'd'],
      ['a', 'c'],
    ]);
    list.reveal();
    flushSync();
    expect([list.shown, list.held]).toEqual([['a', 'b', 'c', 'd'], []]);
    names = ['d', 'a'];
    flushSync();
    expect(list.shown).toEqual(['a', 'd']);
    key = 'by size';
    flushSync();
    expect(list.shown).toEqual(['d', 'a']);
  });
  destroy();
});

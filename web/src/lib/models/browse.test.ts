import { expect, test } from 'vitest';
import { hasFilters, listKey, readBrowse, toggled, withoutFilters, writeBrowse } from './browse';

function read(query: string) {
  return readBrowse(new URLSearchParams(query));
}

test('an empty URL lists the models of this machine', () => {
  const browse = read('');
  expect(browse.place).toBe('mine');
  expect(hasFilters(browse)).toBe(false);
  expect(writeBrowse(browse)).toBe('');
});

test('a URL is read as it was written', () => {
  const browse = {
    ...read(''),
    place: 'hub' as const,
    query: 'qwen & co',
    sort: 'likes' as const,
    fits: true,
    badges: ['vision' as const, 'code' as const],
    family: 'gpt-oss',
    bits: 4,
    open: 'a/b',
  };
  expect(read(writeBrowse(browse))).toEqual(browse);
  expect(hasFilters(browse)).toBe(true);
  expect(hasFilters(withoutFilters(browse))).toBe(false);
  expect(withoutFilters(browse).query).toBe('qwen & co');
});

test('values that are not known are left out', () => {
  const browse = read('sort=likes&has=vision,nonsense&bits=99&family=');
  // The order by likes exists on the hub only.
  expect(browse.sort).toBeNull();
  expect(browse.badges).toEqual(['vision']);
  expect([browse.bits, browse.family]).toEqual([null, null]);
});

test('unfolding a model does not change the list', () => {
  expect(listKey(read('q=a&open=a/b'))).toBe(listKey(read('q=a')));
});

test('a member is added or removed', () => {
  expect(toggled([1, 2], 2)).toEqual([1]);
  expect(toggled([1], 2)).toEqual([1, 2]);
});

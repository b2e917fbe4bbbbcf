import { expect, test } from 'vitest';
import { readBrowse } from './browse';
import { hubQuery } from './hub-query';

const query = (text: string, largest: number | null = 5e9) => hubQuery(readBrowse(new URLSearchParams(text)), largest);

test('an empty search lists by downloads', () => {
  expect(query('in=hub')).toEqual({ sort: 'downloads', limit: 30 });
});

test('words, order and size are searched by the hub', () => {
  expect(query('in=hub&q=+qwen+&sort=likes&fits=1')).toEqual({
    query: 'qwen',
    sort: 'likes',
    limit: 30,
    max_size_bytes: 5e9,
  });
});

test('without a budget, size is not limited; an order of local models is not one of the hub', () => {
  expect(query('fits=1&sort=size', null)).toEqual({ sort: 'downloads', limit: 30 });
});

test('filters that the hub does not have do not change the search', () => {
  expect(query('in=hub&has=vision&family=Qwen&bits=4&open=a/b')).toEqual(query('in=hub'));
});

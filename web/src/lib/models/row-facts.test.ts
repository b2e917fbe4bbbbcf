import { expect, test } from 'vitest';
import { rowFacts } from './row-facts';

const found = { kind: 'text' as const, badges: [], family: 'Qwen', parameters: 8e9, quantization: { bits: 4 } };

test('a row has only what is known', () => {
  const entry = { name: 'a/b', characteristics: found, sizeBytes: 4.6e9, local: null, remote: null };
  expect(rowFacts(entry)).toEqual(['Qwen', '8B', '4-bit', '4.6\u00a0GB']);
  expect(rowFacts({ ...entry, characteristics: null, sizeBytes: null })).toEqual([]);
});

test('a result of the hub has its downloads and likes', () => {
  const remote = {
    repo_id: 'a/b',
    tags: [],
    gated: false,
    downloaded: false,
    characteristics: found,
    downloads: 0,
    likes: 1,
  };
  const entry = { name: 'a/b', characteristics: null, sizeBytes: null, local: null, remote };
  expect(rowFacts(entry)).toEqual(['0 downloads', '1 like']);
});

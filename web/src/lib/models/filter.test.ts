import { expect, test } from 'vitest';
import type { LocalModel } from '$lib/api';
import { readBrowse } from './browse';
import { ofLocal, ofRemote } from './entry';
import { families, matches, sorted, type FilterFacts } from './filter';
import { localModel } from './testing';

const GB = 1e9;
const facts: FilterFacts = { budgetBytes: 10 * GB, isRejected: () => null };

function local(name: string, more: Partial<LocalModel> = {}): LocalModel {
  return localModel(name, { path: `/models/${name}`, size_bytes: GB, ...more });
}

const vision = ofLocal(
  local('a/Qwen2.5-VL-7B-4bit', {
    size_bytes: 5 * GB,
    modified_at_ms: 2,
    characteristics: {
      kind: 'vision',
      family: 'Qwen',
      badges: ['vision', 'tools'],
      parameters: 7e9,
      quantization: { bits: 4 },
    },
  }),
);
const large = ofLocal(local('b/Llama-70B', { size_bytes: 40 * GB, modified_at_ms: 1 }));

function keeps(query: string, known = facts) {
  const browse = readBrowse(new URLSearchParams(query));
  return [vision, large].filter((entry) => matches(entry, browse, known)).map(({ name }) => name);
}

test('words are searched in names and families, in any order', () => {
  expect(keeps('q=vl qwen')).toEqual([vision.name]);
  expect(keeps('q=LLAMA')).toEqual([large.name]);
  expect(keeps('q=none')).toEqual([]);
  expect(keeps('')).toHaveLength(2);
});

test('each filter keeps what has the property', () => {
  expect(keeps('has=vision,tools')).toEqual([vision.name]);
  expect(keeps('has=thinking')).toEqual([]);
  expect(keeps('family=Qwen')).toEqual([vision.name]);
  expect(keeps('bits=4')).toEqual([vision.name]);
  expect(keeps('fits=1')).toEqual([vision.name]);
});

test('the dry run is used instead of an estimate', () => {
  const known = { ...facts, isRejected: (name: string) => name === vision.name };
  expect(keeps('fits=1', known)).toEqual([large.name]);
});

test('results of the hub are not searched again', () => {
  const entry = ofRemote(
    {
      repo_id: 'c/d',
      tags: [],
      gated: false,
      downloaded: false,
      characteristics: { kind: 'text', badges: [] },
    },
    null,
  );
  const browse = readBrowse(new URLSearchParams('in=hub&q=zzz'));
  expect(matches(entry, browse, facts)).toBe(true);
  expect(matches(entry, { ...browse, downloaded: true }, facts)).toBe(false);
});

test('orders are by name where they are equal', () => {
  const third = ofLocal(local('a/Qwen2.5-VL-10B'));
  const names = (sort: 'name' | 'size' | 'modified') => sorted([large, third, vision], sort).map(({ name }) => name);
  expect(names('size')[0]).toBe(large.name);
  expect(names('modified')).toEqual([vision.name, large.name, third.name]);
  expect(names('name')).toEqual([vision.name, third.name, large.name]);
});

test('families are listed by frequency', () => {
  expect(families([vision, vision, large])).toEqual(['Qwen']);
});

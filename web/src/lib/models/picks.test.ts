import { expect, test } from 'vitest';
import type { RemoteModel } from '$lib/api';
import { pick } from './picks';

const GB = 1e9;

function model(repo: string, gigabytes: number, more: Partial<RemoteModel> = {}): RemoteModel {
  return {
    repo_id: repo,
    tags: ['mlx'],
    gated: false,
    downloaded: false,
    size_bytes: gigabytes * GB,
    characteristics: { kind: 'text', badges: [], supported: true },
    ...more,
  };
}

const popular = [
  model('x/Popular-1B', 0.6),
  model('mlx-community/Qwen3-0.6B-4bit', 0.35),
  model('mlx-community/Qwen3-8B-4bit', 4.6),
  model('mlx-community/Qwen3-32B-4bit', 18.4),
  model('mlx-community/Llama-3.3-70B-Instruct-4bit', 39.7),
  model('x/Huge', 300),
];

function names(budget: number, results = popular) {
  return pick(results, budget * GB).map(({ role, model: { repo_id } }) => `${role} ${repo_id}`);
}

test('there is one pick for each role, and the best one depends on the memory', () => {
  expect(names(102)).toEqual([
    'first mlx-community/Qwen3-0.6B-4bit',
    'everyday mlx-community/Qwen3-8B-4bit',
    'best mlx-community/Llama-3.3-70B-Instruct-4bit',
  ]);
  // 85% of the budget is less than the larger one needs.
  expect(names(51)[2]).toBe('best mlx-community/Qwen3-32B-4bit');
});

test('a small machine gets fewer picks, and no model twice', () => {
  expect(names(12.8)).toEqual(['first mlx-community/Qwen3-0.6B-4bit', 'everyday mlx-community/Qwen3-8B-4bit']);
  expect(names(1)).toEqual(['first mlx-community/Qwen3-0.6B-4bit']);
  expect(names(0.1)).toEqual([]);
});

test('without a preferred model, the most popular one is chosen, and the largest as the best', () => {
  const others = [model('x/A', 0.5), model('x/B', 0.4), model('x/C', 3), model('x/D', 7), model('x/E', 9)];
  expect(names(20, others)).toEqual(['first x/A', 'everyday x/C', 'best x/E']);
});

test('what cannot be used for chats is left out', () => {
  const unusable = [
    model('x/Gated', 0.5, { gated: true }),
    model('x/Unknown', 0.5, { size_bytes: null }),
    model('x/Unsupported', 0.5, {
      characteristics: { kind: 'text', badges: [], supported: false },
    }),
    model('x/Embedding', 0.5, {
      characteristics: { kind: 'embeddings', badges: ['embeddings'] },
    }),
  ];
  expect(names(20, unusable)).toEqual([]);
});

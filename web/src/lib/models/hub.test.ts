import { afterEach, expect, it } from 'vitest';

import type { RemoteModel } from '$lib/api';
import { rejection, testGateway } from '$lib/events/testing';

import { ModelSearch } from './hub.svelte';

function remote(repo_id: string): RemoteModel {
  return { repo_id, tags: [], gated: false, downloaded: false, characteristics: { kind: 'text', badges: [] } };
}

let gateway: ReturnType<typeof testGateway>;

afterEach(() => gateway.restore());

it('adds pages without repetitions', async () => {
  const pages = [
    { models: [remote('a'), remote('b')], next_page: 2 },
    { models: [remote('b'), remote('c')], next_page: null },
  ];
  gateway = testGateway({ 'GET /api/models/search': () => pages.shift() });
  const search = new ModelSearch();
  await search.search({ query: 'x' });
  expect([search.status, search.hasMore]).toEqual(['ready', true]);
  await Promise.all([search.more(), search.more()]);
  expect(search.results.map((model) => model.repo_id)).toEqual(['a', 'b', 'c']);
  expect(search.hasMore).toBe(false);
  await search.more();
  expect(gateway.requests).toHaveLength(2);
});

it('shows the results of the last search, whichever response comes last', async () => {
  const responses = [
    new Promise((resolve) => setTimeout(() => resolve({ models: [remote('old')] }), 20)),
    Promise.resolve({ models: [remote('new')] }),
  ];
  gateway = testGateway({ 'GET /api/models/search': () => responses.shift() });
  const search = new ModelSearch();
  await Promise.all([search.search({ query: 'o' }), search.search({ query: 'on' })]);
  expect(search.results.map((model) => model.repo_id)).toEqual(['new']);
});

it('keeps results when the hub cannot be reached', async () => {
  const responses = [{ models: [remote('a')] }, rejection(502, 'hub_unreachable')];
  gateway = testGateway({ 'GET /api/models/search': () => responses.shift() });
  const search = new ModelSearch();
  await search.search({});
  await search.search({ query: 'x' });
  expect([search.status, search.problem?.code, search.problem?.isUnreachable]).toEqual([
    'error',
    'hub_unreachable',
    false,
  ]);
  expect(search.results).toHaveLength(1);
});

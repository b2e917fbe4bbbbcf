import { expect, it } from 'vitest';

import type { LocalModel, Profile } from '$lib/api';
import { download, server } from '$lib/events/testing';

import { alternatives, chatHref, defaultTarget, has, options, previewOf, targetOf, type Sources } from './targets';

function local(name: string, fields: Partial<LocalModel> = {}): LocalModel {
  const characteristics = { kind: 'text', badges: ['tools'] } as LocalModel['characteristics'];
  return { name, complete: true, size_bytes: 1e9, characteristics, ...fields } as LocalModel;
}

const seeing = { kind: 'vision', badges: ['vision'] } as unknown as LocalModel['characteristics'];

const sources: Sources = {
  profiles: [{ id: 'p', config: { name: 'Coder', model: 'owner/big' } } as Profile],
  models: [
    local('owner/big'),
    local('owner/small'),
    local('owner/eyes', { characteristics: seeing }),
    local('owner/half', { complete: false }),
  ],
  servers: [server('s', { name: 'owner/small' })],
  downloads: [download('new', { repo_id: 'owner/new' }), download('old', { repo_id: 'owner/old', state: 'failed' })],
  modelColor: () => 2,
  profileColor: () => 3,
  bytes: (value) => `${value} B`,
};

it('a name is a profile, or else a model', () => {
  expect(targetOf('Coder', sources)).toMatchObject({ title: 'Coder', model: 'owner/big', color: 3, reason: null });
  expect(targetOf('owner/small', sources)).toMatchObject({ title: 'small', color: 2, server: { id: 's' } });
  expect(targetOf(null, sources)).toBeNull();
});

it('what cannot be used says why, and what is being downloaded can', () => {
  expect(targetOf('owner/new', sources)?.reason).toBeNull();
  expect(targetOf('owner/old', sources)?.reason).toContain('not on this machine');
  expect(targetOf('owner/half', sources)?.reason).toContain('not completely');
});

it('the picker has what runs first, and each name once', () => {
  const all = options(sources);
  expect(all.map(({ value, group }) => [value, group])).toEqual([
    ['owner/small', 'Running'],
    ['Coder', 'Profiles'],
    ['owner/big', 'On this machine'],
    ['owner/eyes', 'On this machine'],
    ['owner/half', 'On this machine'],
    ['owner/new', 'Downloading'],
  ]);
});

it('a new chat is with what was used last, if it still can be', () => {
  expect(defaultTarget('Coder', sources)).toBe('Coder');
  expect(defaultTarget('owner/half', sources)).toBe('owner/small');
  expect(defaultTarget(null, { ...sources, profiles: [], models: [], servers: [], downloads: [] })).toBeNull();
});

it('other models that can respond are offered, those in memory first', () => {
  expect(alternatives(sources, 2)).toEqual([
    { value: 'owner/small', label: 'small' },
    { value: 'Coder', label: 'Coder' },
  ]);
});

it('a start is previewed only where there would be one', () => {
  expect(previewOf(targetOf('Coder', sources))).toEqual({ profile: 'Coder' });
  expect(previewOf(targetOf('owner/small', sources))).toBeNull();
  expect(previewOf(targetOf('owner/new', sources))).toBeNull();
});

it('knows what a model can do', () => {
  expect(has(targetOf('owner/big', sources), 'thinking')).toBe(false);
  expect(has(targetOf('owner/big', sources), 'tools')).toBe(true);
  expect(has(targetOf('owner/new', sources), 'thinking')).toBeNull();
});

it('an address is safe for any name', () => {
  expect(chatHref('owner/a&b')).toBe('/chat?model=owner%2Fa%26b');
});

import { expect, it } from 'vitest';

import type { LocalModel, Profile } from '$lib/api';
import { download } from '$lib/events/testing';
import { localModel } from '$lib/models/testing';

import { modelTarget, optionOf, profileTarget, targetOf, type Sources } from './target';
import { server } from './testing';

const profile = {
  id: 'p',
  config: { name: 'Coder', model: 'owner/big', description: 'For code' },
} as unknown as Profile;

function local(name: string, fields: Partial<LocalModel> = {}): LocalModel {
  return localModel(name, { path: '/models', size_bytes: 7, characteristics: null, ...fields });
}

const sources: Sources = {
  profiles: [profile],
  models: [local('owner/big'), local('owner/half', { complete: false })],
  servers: [server({ name: 'owner/big', profiles: ['Coder'], state: 'starting' })],
  downloads: [],
  modelColor: () => 2,
  profileColor: () => undefined,
  bytes: (bytes) => `${bytes} B`,
};

it('a name is a profile first', () => {
  const both = { ...sources, models: [local('Coder')] };
  expect(targetOf('Coder', both)?.profile).toBe(profile);
  expect(targetOf('', both)).toBeNull();
});

it('an option has the state, the color and the words that find it', () => {
  expect(optionOf(profileTarget(profile, sources), 'Coder', 'Profiles', sources)).toEqual({
    value: 'Coder',
    label: 'Coder',
    detail: 'starting',
    group: 'Profiles',
    keywords: ['owner/big', 'For code'],
  });
  const idle = { ...sources, servers: [] };
  expect(optionOf(modelTarget('owner/big', idle), 'x', 'Models', idle)).toMatchObject({ detail: '7 B', color: 2 });
});

it('a model that is not complete can be used only while it is being downloaded', () => {
  const half = (known: Sources) => optionOf(modelTarget('owner/half', known), 'x', 'Models', known);
  expect(half(sources)).toMatchObject({ detail: '7 B', reason: 'It is not completely downloaded.' });
  const coming = { ...sources, downloads: [download('d', { repo_id: 'owner/half' })] };
  expect(half(coming)).toMatchObject({ detail: 'downloading' });
  expect(half(coming).reason).toBeUndefined();
});

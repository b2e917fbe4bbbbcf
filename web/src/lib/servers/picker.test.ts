import { describe, expect, it } from 'vitest';
import type { LocalModel, Profile } from '$lib/api';
import { localModel } from '$lib/models/testing';
import { options, requestOf, suggestions } from './picker';
import { server } from './testing';

function model(name: string, changes: Partial<LocalModel> = {}): LocalModel {
  return localModel(name, { path: '/models', size_bytes: 5, characteristics: null, ...changes });
}

function profile(name: string, model: string): Profile {
  const config = { name, model, is_pinned: false, auto_start: false, load: {}, request: {} };
  return { id: name, config, created_at_ms: 0, updated_at_ms: 0 };
}

describe('options', () => {
  const found = options({
    profiles: [profile('coder', 'a/tiny'), profile('lost', 'a/gone')],
    models: [
      model('a/tiny'),
      model('a/part', { complete: false }),
      model('a/new', {
        characteristics: { kind: 'text', badges: [], supported: false, unsupported_reason: 'too new' },
      }),
    ],
    servers: [server({ name: 'a/tiny', profiles: ['coder'] })],
    modelColor: () => undefined,
    profileColor: () => undefined,
    bytes: (bytes) => `${bytes} B`,
  });
  const by = (value: string) => found.find((option) => option.value === value);

  it('has profiles first', () => {
    expect(found.map((option) => option.value)).toEqual([
      'profile:coder',
      'profile:lost',
      'model:a/tiny',
      'model:a/part',
      'model:a/new',
    ]);
  });

  it('says what is in memory', () => {
    expect(by('profile:coder')?.detail).toBe('in memory');
    expect(by('model:a/part')?.detail).toBe('5 B');
  });

  it('says why something cannot be started', () => {
    expect(by('profile:coder')?.reason).toBeUndefined();
    expect(by('profile:lost')?.reason).toContain('a/gone is not on this machine');
    expect(by('model:a/part')?.reason).toBe('It is not completely downloaded.');
    expect(by('model:a/new')?.reason).toBe('too new');
  });
});

it('a choice is a request', () => {
  expect(requestOf('profile:a:b')).toEqual({ profile: 'a:b' });
  expect(requestOf('model:a/tiny')).toEqual({ model: 'a/tiny' });
  expect(requestOf('')).toBeNull();
});

describe('suggestions', () => {
  it('are profiles, if one can be started', () => {
    const found = suggestions([profile('coder', 'a/tiny'), profile('lost', 'a/gone')], [model('a/tiny')]);
    expect(found).toEqual({ text: 'Start your profile.', values: [{ value: 'profile:coder', label: 'coder' }] });
  });

  it('are models without profiles', () => {
    const found = suggestions([], [model('a/tiny'), model('a/part', { complete: false }), model('b/other')]);
    expect(found.text).toBe('Start one of your 2 models.');
    expect(found.values.map(({ label }) => label)).toEqual(['tiny', 'other']);
    expect(suggestions([], []).values).toEqual([]);
  });
});

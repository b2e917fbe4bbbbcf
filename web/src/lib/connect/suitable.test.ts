import { describe, expect, it } from 'vitest';

import type { Badge, Profile } from '$lib/api';
import { localModel } from '$lib/models/testing';
import type { Sources } from '$lib/servers/target';
import { server } from '$lib/servers/testing';

import { contextLengthOf, suitable } from './suitable';

function model(name: string, badges: Badge[], context_length: number) {
  return localModel(name, { characteristics: { kind: 'text', badges, context_length } });
}

const long = { id: 'p', config: { name: 'Long', model: 'a/tools', load: { context_length: 65_536 } } };
const sources: Sources = {
  profiles: [],
  models: [model('a/plain', [], 131_072), model('a/tools', ['tools'], 131_072), model('a/short', ['tools'], 4_096)],
  servers: [],
  downloads: [],
  modelColor: () => undefined,
  profileColor: () => undefined,
  bytes: (bytes) => `${bytes} B`,
};

describe('what is suitable', () => {
  it('has tools and the context', () => {
    expect(suitable({ tools: true, contextLength: null }, sources)?.name).toBe('a/tools');
    expect(suitable({ tools: true, contextLength: 65_536 }, sources)?.name).toBe('a/tools');
    expect(suitable({ tools: true, contextLength: 1e6 }, sources)).toBeNull();
    expect(suitable({ tools: false, contextLength: null }, sources)?.name).toBe('a/plain');
  });

  it('is what is in memory, or else a profile', () => {
    const profiles = [long as unknown as Profile];
    expect(suitable({ tools: true, contextLength: null }, { ...sources, profiles })?.name).toBe('Long');
    const servers = [server({ name: 'a/short' })];
    expect(suitable({ tools: true, contextLength: null }, { ...sources, profiles, servers })?.name).toBe('a/short');
  });

  it('is complete and supported', () => {
    const models = [localModel('a/part', { complete: false, characteristics: { kind: 'text', badges: ['tools'] } })];
    expect(suitable({ tools: true, contextLength: null }, { ...sources, models })).toBeNull();
  });
});

it('the context is that of the server, or else of the profile', () => {
  const profiles = [long as unknown as Profile];
  expect(contextLengthOf('Long', { profiles, servers: [] })).toBe(65_536);
  const servers = [server({ name: 'a/tools', profiles: ['Long'] })];
  expect(contextLengthOf('Long', { profiles, servers })).toBe(8_192);
  expect(contextLengthOf('a/tools', { profiles: [], servers })).toBe(8_192);
  expect(contextLengthOf('a/plain', { profiles, servers })).toBeNull();
});

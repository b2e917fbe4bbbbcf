import { describe, expect, it } from 'vitest';
import type { Profile, Server } from '$lib/api';
import { localModel } from '$lib/models/testing';
import { contextChoices, tokensText } from './contexts';
import { portHolder } from './ports';
import { cannotStart, isActive, profileState } from './state';
import { readStored, writeStored } from './storage';

function profile(id: string, port?: number): Profile {
  return { id, config: { name: `name of ${id}`, model: 'org/model', port }, created_at_ms: 0, updated_at_ms: 0 };
}

function server(state: Server['state'], running = 0): Server {
  return {
    id: 's',
    name: 'org/model',
    path: '/models/model',
    profiles: [],
    state,
    capabilities: {},
    size: { context_length: 8192, kv_pool_tokens: 8192, plan_bytes: 1 },
    settings: {},
    ttl_seconds: 1800,
    pinned: false,
    running,
    started_at_ms: 0,
    restarts: 0,
  };
}

const model = localModel('org/model');

describe('portHolder', () => {
  it('names another profile with the port', () => {
    const all = [profile('a', 10240), profile('b')];
    expect(portHolder(all, 10240, 'b')).toBe('name of a');
    expect(portHolder(all, 10240, null)).toBe('name of a');
    expect(portHolder(all, 10240, 'a')).toBeUndefined();
    expect(portHolder(all, undefined, null)).toBeUndefined();
  });
});

describe('profileState', () => {
  it('is that of its server', () => {
    const state = profileState(profile('a'), server('ready', 2), model, true);
    expect(state).toEqual({ tone: 'ok', label: 'Ready', detail: '2 running' });
    expect(profileState(profile('a'), server('starting'), model, true).label).toBe('Starting');
  });

  it('says why a server failed', () => {
    const failure = { code: 'crash_loop', message: 'It crashed five times.', advice: '', log_tail: [] };
    const state = profileState(profile('a'), { ...server('failed'), failure }, model, true);
    expect(state).toEqual({ tone: 'bad', label: 'Failed', detail: 'It crashed five times.' });
  });

  it('says why a profile cannot be started', () => {
    expect(profileState(profile('a'), undefined, undefined, true).label).toBe('Model missing');
    expect(profileState(profile('a'), undefined, { ...model, complete: false }, true).label).toBe('Model incomplete');
    expect(profileState(profile('a'), undefined, model, true).label).toBe('Not running');
    expect(cannotStart(profile('a'), undefined, true)).toContain('org/model is not on this machine');
    expect(cannotStart(profile('a'), model, true)).toBeNull();
  });

  it('does not claim that a model is missing before the models are known', () => {
    expect(profileState(profile('a'), undefined, undefined, false).label).toBe('Not running');
    expect(cannotStart(profile('a'), undefined, false)).toBeNull();
  });

  it('is active while the server has memory', () => {
    expect(isActive(server('starting'))).toBe(true);
    expect(isActive(server('stopping'))).toBe(false);
    expect(isActive(undefined)).toBe(false);
  });
});

describe('contextChoices', () => {
  it('have the least memory of each length, the shortest first', () => {
    const size = (context_length: number, plan_bytes: number) => ({ context_length, plan_bytes, kv_pool_tokens: 1 });
    expect(contextChoices([size(32768, 9), size(8192, 5), size(32768, 7)])).toEqual([
      { tokens: 8192, planBytes: 5 },
      { tokens: 32768, planBytes: 7 },
    ]);
    expect(tokensText(32768)).toBe('32k');
    expect(tokensText(40960)).toBe('40k');
    expect(tokensText(1000)).toBe('1000');
  });
});

describe('stored drafts', () => {
  function memory(): Storage {
    const items = new Map<string, string>();
    return {
      length: 0,
      clear: () => items.clear(),
      key: () => null,
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => void items.set(key, value),
      removeItem: (key) => void items.delete(key),
    };
  }

  it('are read back for their profile only', () => {
    const storage = memory();
    const draft = { texts: { name: 'a' }, flags: { auto_start: true, is_pinned: false } };
    writeStored(storage, 'a', draft);
    expect(readStored(storage, 'a')).toEqual(draft);
    expect(readStored(storage, null)).toBeNull();
    writeStored(storage, 'a', null);
    expect(readStored(storage, 'a')).toBeNull();
  });

  it('are dropped if they are something else', () => {
    const storage = memory();
    for (const text of ['{', '[]', '{"texts":{"name":1},"flags":{}}', '"x"']) {
      storage.setItem('mlxm.profile-draft.new', text);
      expect(readStored(storage, null)).toBeNull();
    }
  });

  it('are not needed where the storage is forbidden', () => {
    const storage = {
      ...memory(),
      setItem: () => {
        throw new Error('denied');
      },
    };
    expect(() =>
      writeStored(storage, null, { texts: {}, flags: { auto_start: false, is_pinned: false } }),
    ).not.toThrow();
  });
});

import { expect, test } from 'vitest';
import type { Alias, Download, Profile, Server } from '$lib/api';
import { isUsed, keepReason, losses, type References } from './references';
import { localModel } from './testing';

const model = localModel('a/b', { size_bytes: 4.6e9 });
const none: References = { servers: [], profiles: [], downloads: [], aliases: [] };
const server = (running: number) => ({ running }) as Server;
const profile = (name: string) => ({ config: { name } }) as Profile;

test('a model that nothing uses loses its files only', () => {
  expect(losses(model, none)).toEqual(['4.6\u00a0GB are deleted from the disk.']);
  expect(isUsed(none)).toBe(false);
});

test('everything that is lost is named', () => {
  const references = {
    servers: [server(2), server(0)],
    profiles: [profile('Coder'), profile('Chat')],
    downloads: [{} as Download],
    aliases: [{ name: 'claude-*' } as Alias],
  };
  expect(isUsed(references)).toBe(true);
  expect(losses(model, references).slice(1)).toEqual([
    '2 servers are stopped, which interrupts 2 responses.',
    'Its download is cancelled.',
    'The profiles Coder, Chat cannot be started until the model is downloaded again.',
    'The alias claude-* will lead nowhere.',
  ]);
});

test('an alias alone does not keep a model', () => {
  expect(isUsed({ ...none, aliases: [{ name: 'x' } as Alias] })).toBe(false);
});

test('files of other programs are never deleted', () => {
  expect(keepReason(model)).toBeNull();
  expect(keepReason({ ...model, source: 'external' })).toMatch('another program');
});

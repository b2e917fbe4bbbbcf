import { describe, expect, it } from 'vitest';
import { server } from '$lib/servers/testing';
import { OpenLogs, opened, remembered, sources } from './sources';

describe('sources', () => {
  const one = server({ id: 'id-0001', name: 'a/tiny' });
  const two = server({ id: 'id-0002', name: 'a/tiny' });

  it('are the gateway and all servers', () => {
    expect(sources([one], null)).toEqual([
      { id: 'gateway', name: 'gateway' },
      { id: 'id-0001', name: 'tiny' },
    ]);
  });

  it('have different names', () => {
    expect(sources([one, two], null).map(({ name }) => name)).toEqual(['gateway', 'tiny 0001', 'tiny 0002']);
  });

  it('have a server that has ended if it is asked for', () => {
    expect(sources([one], 'id-0009').at(-1)).toEqual({ id: 'id-0009', name: 'ended 0009' });
    expect(sources([one], 'id-0009', [{ id: 'id-0009', name: 'coder' }]).at(-1)?.name).toBe('coder');
    expect(sources([one], 'id-0001')).toHaveLength(2);
  });

  it('are all open, or the one that is asked for', () => {
    const all = sources([one, two], null);
    expect(opened(all, null)).toEqual(['gateway', 'id-0001', 'id-0002']);
    expect(opened(all, 'id-0002')).toEqual(['id-0002']);
  });
});

it('sources that have ended stay', () => {
  const gateway = { id: 'gateway', name: 'gateway' };
  const before = [gateway, { id: 'a', name: 'tiny' }];
  const now = [gateway, { id: 'b', name: 'tiny' }];
  const all = remembered(before, now);
  expect(all.map(({ id }) => id)).toEqual(['gateway', 'b', 'a']);
  expect(remembered(all, now)).toBe(all);
  expect(remembered([], now)).toEqual(now);
});

it('logs that stay open are not opened again', () => {
  const calls: string[] = [];
  const logs = new OpenLogs((id) => {
    calls.push(`open ${id}`);
    return () => void calls.push(`close ${id}`);
  });
  logs.set(['a', 'b']);
  logs.set(['b', 'c']);
  logs.set([]);
  expect(calls).toEqual(['open a', 'open b', 'close a', 'open c', 'close b', 'close c']);
});

import { describe, expect, it } from 'vitest';
import type { Check } from '$lib/api';
import { bySeverity, checkName } from './checks';
import { lockNote, sourceName } from './source';

const check = (name: string, status: Check['status']): Check => ({ name, status, finding: '' });

describe('checks', () => {
  it('have what needs attention first, otherwise in the order of the gateway', () => {
    const all = [
      check('a', 'ok'),
      check('b', 'warning'),
      check('c', 'failed'),
      check('d', 'ok'),
      check('e', 'warning'),
    ];
    expect(bySeverity(all).map((each) => each.name)).toEqual(['c', 'b', 'e', 'a', 'd']);
  });

  it('have names, also those of a later version', () => {
    expect(checkName('disk_space')).toBe('Disk space');
    expect(checkName('new_check')).toBe('New check');
  });
});

describe('sources', () => {
  const base = {
    key: 'server.port',
    description: '',
    value: 1,
    default: 1,
    expects: '',
    environment: 'MLXM_SERVER_PORT',
    needs_restart: true,
    restart_pending: false,
  };

  it('say why a value is locked and how to unlock it', () => {
    expect(lockNote({ ...base, source: 'environment', locked: true })).toContain('Unset it');
    expect(lockNote({ ...base, source: 'flag', locked: true })).toContain('Omit the option');
    expect(lockNote({ ...base, source: 'database', locked: false })).toBeUndefined();
  });

  it('are named unless the value is the default', () => {
    expect(sourceName({ ...base, source: 'environment', locked: true })).toBe('MLXM_SERVER_PORT');
    expect(sourceName({ ...base, source: 'default', locked: false })).toBeUndefined();
  });
});

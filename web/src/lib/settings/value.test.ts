import { describe as suite, expect, it } from 'vitest';
import type { Setting } from '$lib/api';
import { labelOf, sectionOf, sections } from './sections';
import { describe, format, kindOf, parse } from './value';

function setting(key: string, value: unknown): Setting {
  return {
    key,
    description: '',
    value,
    source: 'default',
    locked: false,
    default: value,
    expects: 'a number',
    environment: 'MLXM_X',
    needs_restart: false,
    restart_pending: false,
  };
}

/** The settings of the gateway with their defaults. */
const known: readonly Setting[] = [
  setting('server.host', '127.0.0.1'),
  setting('server.port', 8080),
  setting('server.cors_origins', []),
  setting('server.allowed_hosts', []),
  setting('server.shutdown_timeout_seconds', 30),
  setting('pool.memory_budget_bytes', 0),
  setting('pool.ttl_seconds', 1800),
  setting('pool.queue_timeout_seconds', 300),
  setting('pool.max_waiting_requests', 1024),
  setting('pool.preload', []),
  setting('models.folders', []),
  setting('models.cache_directory', ''),
  setting('servers.health_interval_seconds', 5),
  setting('downloads.bytes_per_second', 0),
  setting('profiles.first_port', 10240),
  setting('audit.retention_days', 90),
  setting('logs.level', 'info'),
  setting('logs.file', ''),
  setting('logs.retention_days', 7),
];

suite('sections', () => {
  it('have a place and a name for every setting', () => {
    for (const { key } of known) {
      expect(sections.map((section) => section.id)).toContain(sectionOf(key));
      expect(labelOf(key)).not.toBe(key);
    }
  });

  it('show a setting of a later version under its key', () => {
    expect(sectionOf('new.thing')).toBe('data');
    expect(labelOf('new.thing')).toBe('new.thing');
  });
});

suite('values', () => {
  it('are read back as they were', () => {
    for (const each of known) expect(parse(each, format(each, each.default))).toEqual({ value: each.default });
    const folders = setting('models.folders', []);
    expect(parse(folders, format(folders, ['/a b', '/c']))).toEqual({ value: ['/a b', '/c'] });
  });

  it('have the unit of their key', () => {
    const byKey = (key: string): Setting => known.find((each) => each.key === key) ?? setting(key, 0);
    expect(kindOf(byKey('downloads.bytes_per_second'))).toBe('speed');
    expect(parse(byKey('pool.memory_budget_bytes'), '38.4')).toEqual({ value: 38_400_000_000 });
    expect(parse(byKey('downloads.bytes_per_second'), '20')).toEqual({ value: 20_000_000 });
    expect(parse(byKey('pool.ttl_seconds'), '2 h')).toEqual({ value: 7200 });
    expect(parse(byKey('audit.retention_days'), '30 days')).toEqual({ value: 30 });
    expect(parse(byKey('server.port'), '80.5')).toEqual({ error: 'Enter a number.' });
  });

  it('are described in words', () => {
    expect(describe(setting('pool.ttl_seconds', 1800), -1)).toBe('Never');
    expect(describe(setting('pool.ttl_seconds', 1800), 1800)).toBe('30 min');
    expect(describe(setting('models.folders', []), [])).toBe('none');
    expect(describe(setting('downloads.bytes_per_second', 0), 5_000_000)).toBe('5 MB/s');
    expect(describe(setting('audit.retention_days', 90), 90)).toBe('90 days');
  });
});

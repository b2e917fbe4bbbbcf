import { expect, it } from 'vitest';

import type { LogLine } from './buffer';
import { compile, EVERYTHING, toText } from './filter';

function entry(fields: Partial<LogLine> = {}): LogLine {
  return { key: 1, source: 'gateway', at_ms: 0, level: 'info', message: 'Out of Memory', gap: false, ...fields };
}

it('selects by level, and keeps lines without one', () => {
  const accepts = compile({ ...EVERYTHING, levels: ['error'] });
  expect([accepts(entry()), accepts(entry({ level: 'error' })), accepts(entry({ level: null }))]).toEqual([
    false,
    true,
    true,
  ]);
});

it('selects by text in upper or lower case, with any characters', () => {
  const accepts = (search: string, message: string): boolean => compile({ ...EVERYTHING, search })(entry({ message }));
  expect([accepts('of memory', 'Out of Memory'), accepts('disk', 'Out of Memory')]).toEqual([true, false]);
  for (const text of ['a.b', '[x]', '(', '\\d', 'a-b', '$^*+?{}|/', '<script>', 'ÄÖ', '🦀']) {
    expect(accepts(text, `x ${text} y`), text).toBe(true);
    expect(accepts(text, 'nothing'), text).toBe(false);
  }
});

it('selects by source', () => {
  const accepts = compile({ ...EVERYTHING, sources: ['s'] });
  expect([accepts(entry()), accepts(entry({ source: 's' }))]).toEqual([false, true]);
});

it('writes lines as text', () => {
  expect(toText(entry(), () => 'mlxm')).toBe('1970-01-01T00:00:00.000Z INFO  mlxm: Out of Memory');
  expect(toText(entry({ at_ms: null, level: null, message: 'panicked' }), (source) => source)).toBe(
    'gateway: panicked',
  );
});

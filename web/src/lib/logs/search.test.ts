import { describe, expect, it } from 'vitest';
import type { LogLevel } from '$lib/api';
import { EVERYTHING } from './filter';
import { LogIndex, pieces, type SearchLine } from './search';

function line(number: number, message: string, level: LogLevel | null = 'info', source = 'gateway'): SearchLine {
  return { number, level, source, message };
}

describe('LogIndex', () => {
  const lines = [
    line(1, 'Listening on 127.0.0.1'),
    line(2, 'Out of Memory', 'error', 'a'),
    line(3, "thread 'main' panicked: out of memory", null, 'a'),
    line(4, 'slow step', 'warn', 'b'),
  ];

  function index() {
    const index = new LogIndex();
    index.append(lines);
    return index;
  }

  it('finds text in upper or lower case', () => {
    expect([...index().filter({ ...EVERYTHING, search: 'OUT of mem' })]).toEqual([2, 3]);
    expect([...index().filter({ ...EVERYTHING, search: 'nothing' })]).toEqual([]);
  });

  it('filters levels and sources, and keeps lines without a level', () => {
    expect([...index().filter({ ...EVERYTHING, levels: ['warn'] })]).toEqual([3, 4]);
    expect([...index().filter({ ...EVERYTHING, sources: ['a'] })]).toEqual([2, 3]);
    expect([...index().filter({ ...EVERYTHING, levels: [] })]).toEqual([3]);
  });

  it('applies the last filter to lines that are added', () => {
    const added = index();
    added.filter({ ...EVERYTHING, search: 'memory', sources: ['a'] });
    const more = [line(5, 'memory', 'info', 'b'), line(6, 'memory', 'info', 'a')];
    expect([...added.append(more)]).toEqual([6]);
  });

  it('forgets the oldest lines', () => {
    const shortened = index();
    shortened.dropBefore(3);
    expect(shortened.size).toBe(2);
    expect([...shortened.filter(EVERYTHING)]).toEqual([3, 4]);
    shortened.dropBefore(100);
    expect(shortened.size).toBe(0);
  });
});

describe('pieces', () => {
  it('splits at all matches', () => {
    expect(pieces('a KV and a kv', 'kv')).toEqual([
      { text: 'a ', match: false },
      { text: 'KV', match: true },
      { text: ' and a ', match: false },
      { text: 'kv', match: true },
    ]);
  });

  it('returns the text without a match, or without a search', () => {
    for (const search of ['', 'x']) expect(pieces('abc', search)).toEqual([{ text: 'abc', match: false }]);
    expect(pieces('', 'x')).toEqual([{ text: '', match: false }]);
  });

  it('keeps markup as text', () => {
    const text = '<img src=x onerror=alert(1)>';
    const joined = pieces(text, 'img').map((piece) => piece.text);
    expect(joined.join('')).toBe(text);
  });
});

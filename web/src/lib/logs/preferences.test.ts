import { describe, expect, it } from 'vitest';
import { LEVELS } from './filter';
import { DEFAULTS, levelsOf, levelsParameter, readPreferences, writePreferences } from './preferences';

describe('preferences', () => {
  it('are read as they were written', () => {
    const items = new Map<string, string>();
    const storage = {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
    };
    const preferences = { levels: ['error' as const], follow: false, time: false, source: true };
    writePreferences(storage, preferences);
    expect(readPreferences(storage)).toEqual(preferences);
  });

  it('have defaults for what is missing or damaged', () => {
    for (const content of [null, '{', '1', 'null', '{"levels":1,"follow":"x"}'])
      expect(readPreferences({ getItem: () => content })).toEqual(DEFAULTS);
    expect(readPreferences({ getItem: () => '{"levels":["warn","loud"]}' }).levels).toEqual(['warn']);
    expect(readPreferences(null)).toEqual(DEFAULTS);
  });
});

describe('levels in the URL', () => {
  it('are names with commas', () => {
    expect(levelsOf('warn,error,loud')).toEqual(['error', 'warn']);
    expect(levelsOf(null)).toBeNull();
    expect(levelsParameter(['error', 'warn'])).toBe('error,warn');
    expect(levelsParameter(LEVELS)).toBeNull();
  });
});

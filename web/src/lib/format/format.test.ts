import { afterEach, describe, expect, it } from 'vitest';

import { bytes, bytesParts, count, integer, percent, plural, rate, tokens } from './numbers';
import { ago, clockTime, duration, milliseconds, remaining } from './time';

/** With ordinary spaces, which are easier to read here. */
function plain(text: string): string {
  return text.replaceAll('\u00a0', ' ');
}

describe('numbers', () => {
  it('have decimal units and one digit from MB on', () => {
    const sizes = [0, 999, 1_000, 999_949, 999_999, 4_600_000_000, 999_960_000_000, 2.5e15];
    expect(sizes.map((size) => plain(bytes(size)))).toEqual([
      '0 B',
      '999 B',
      '1 kB',
      '1,000 kB',
      '1.0 MB',
      '4.6 GB',
      '1.0 TB',
      '2.5 PB',
    ]);
    expect(bytesParts(21_300_000_000)).toEqual({ value: '21.3', unit: 'GB' });
    expect(plain(rate(18_200_000))).toBe('18.2 MB/s');
  });

  it('are exact while they are small', () => {
    const counts = [0, 1_204, 9_999, 12_345, 99_960, 999_600, 1_200_000, 3e9];
    expect(counts.map((value) => plain(count(value)))).toEqual([
      '0',
      '1,204',
      '9,999',
      '12.3 k',
      '100 k',
      '1.0 M',
      '1.2 M',
      '3.0 B',
    ]);
    expect(integer(31_402.4)).toBe('31,402');
    expect(percent(0.943)).toBe('94%');
    expect([tokens(32_768), tokens(40_960), tokens(1_000), tokens(512)]).toEqual(['32k', '40k', '1,000', '512']);
    expect([plain(plural(1, 'model')), plain(plural(2, 'reply', 'replies'))]).toEqual(['1 model', '2 replies']);
  });
});

describe('times', () => {
  it('have their two largest units', () => {
    const durations = [-1, 0.4, 59, 60, 65, 1_200, 3_599, 3_600, 11_520, 90_000];
    expect(durations.map((seconds) => plain(duration(seconds)))).toEqual([
      '0 s',
      '0 s',
      '59 s',
      '1 min',
      '1 min 5 s',
      '20 min',
      '59 min',
      '1 h',
      '3 h 12 min',
      '1 d 1 h',
    ]);
  });

  it('that are short have the digits that matter', () => {
    const times = [0, 12.4, 99.6, 310, 4_210, 9_999, 65_000];
    expect(times.map((time) => plain(milliseconds(time)))).toEqual([
      '0 ms',
      '12 ms',
      '100 ms',
      '0.31 s',
      '4.2 s',
      '10 s',
      '1 min 5 s',
    ]);
  });

  it('to come are never exact', () => {
    const times = [2, 37, 60, 61, 5_400, 36_000];
    expect(times.map((time) => plain(remaining(time)))).toEqual([
      'a few seconds',
      'about 40 s',
      'about 1 min',
      'about 2 min',
      'about 1.5 h',
      'about 10 h',
    ]);
  });

  it('that are past are not negative', () => {
    const now = 1_000_000_000;
    const past = [-5, 3, 45, 720, 7_300, 200_000];
    expect(past.map((seconds) => plain(ago(now - seconds * 1_000, now)))).toEqual([
      'just now',
      'just now',
      '45 s ago',
      '12 min ago',
      '2 h ago',
      '2 d ago',
    ]);
  });
});

describe('times of a day', () => {
  const zone = process.env.TZ;
  afterEach(() => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  });

  it('are those of the time zone of now, which changes when one travels', () => {
    process.env.TZ = 'UTC';
    expect(clockTime(0)).toBe('00:00:00.000');
    process.env.TZ = 'Asia/Tokyo';
    expect(clockTime(0)).toBe('09:00:00.000');
    process.env.TZ = 'Europe/Berlin';
    expect([clockTime(0), clockTime(Date.UTC(2026, 6, 1))]).toEqual(['01:00:00.000', '02:00:00.000']);
  });
});

import { describe, expect, it } from 'vitest';
import { formatBytes, formatSeconds, parseBytes, parseSeconds } from './quantity';

describe('durations', () => {
  it('are read with and without a unit', () => {
    expect(parseSeconds('90')).toBe(90);
    expect(parseSeconds('30 min')).toBe(1800);
    expect(parseSeconds('1.5h')).toBe(5400);
    expect(parseSeconds('1,5 h')).toBe(5400);
    expect(parseSeconds('-1')).toBe(-1);
  });

  it('are nothing else', () => {
    for (const text of ['', 'soon', '5 parsecs', '1.2.3', 'min']) expect(parseSeconds(text)).toBeUndefined();
  });

  it('are shown without losing a second', () => {
    for (const seconds of [0, 1, 59, 60, 90, 300, 1800, 3600, 5400, 86400, 90061]) {
      expect(parseSeconds(formatSeconds(seconds))).toBe(seconds);
    }
    expect(formatSeconds(1800)).toBe('30 min');
    expect(formatSeconds(86400)).toBe('24 h');
    expect(formatSeconds(90)).toBe('90 s');
  });
});

describe('sizes', () => {
  it('are read with and without a unit', () => {
    expect(parseBytes('38.4', 'GB')).toBe(38_400_000_000);
    expect(parseBytes('500 MB', 'GB')).toBe(500_000_000);
    expect(parseBytes('20 MB/s', 'MB')).toBe(20_000_000);
    expect(parseBytes('8 GiB', 'GB')).toBe(8_589_934_592);
    expect(parseBytes('a lot', 'GB')).toBeUndefined();
  });

  it('are shown without losing a byte', () => {
    for (const bytes of [0, 1, 999, 1000, 1500, 38_400_000_000, 8_589_934_592, 123_456_789]) {
      expect(parseBytes(formatBytes(bytes), 'GB')).toBe(bytes);
    }
    expect(formatBytes(38_400_000_000)).toBe('38.4 GB');
    expect(formatBytes(8_589_934_592)).toBe('8 GiB');
    expect(formatBytes(1500)).toBe('1.5 kB');
  });
});

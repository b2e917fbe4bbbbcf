import { describe, expect, it } from 'vitest';

import { line } from '../events/testing';
import { LogBuffer, MAX_LINES } from './buffer';

const messages = (buffer: LogBuffer): string[] => buffer.lines.map((entry) => entry.message);

describe('LogBuffer', () => {
  it('drops live lines that the history has, also from before a rotation', () => {
    const buffer = new LogBuffer();
    buffer.addHistory('gateway', [line(null, 10), line(null, 20)]);
    buffer.append([line(null, 10), line(null, 20), line(null, 30)]);
    buffer.append([line(null, 0, { rotated_at_ms: 5, message: 'after' }), line(null, 40, { message: 'before' })]);
    expect(messages(buffer)).toEqual(['line 10', 'line 20', 'line 30', 'after']);
  });

  it('merges the histories of several logs by time', () => {
    const buffer = new LogBuffer();
    buffer.addHistory('gateway', [
      line(null, 1, { at_ms: 10, message: 'g10' }),
      line(null, 2, { at_ms: 30, message: 'g30' }),
    ]);
    buffer.addHistory('s', [
      line('s', 1, { at_ms: 20, message: 's20' }),
      line('s', 2, { at_ms: null, message: 'trace' }),
      line('s', 3, { at_ms: 40, message: 's40' }),
    ]);
    expect(messages(buffer)).toEqual(['g10', 's20', 'trace', 'g30', 's40']);
  });

  it('marks a gap only where lines are missing', () => {
    const buffer = new LogBuffer();
    const gaps = (): boolean[] => buffer.lines.map((entry) => entry.gap);
    buffer.addHistory('gateway', [line(null, 10), line(null, 20)]);
    buffer.addHistory('gateway', [line(null, 20), line(null, 30)]);
    expect(gaps()).toEqual([false, false, false]);
    buffer.addHistory('gateway', [line(null, 50)]);
    expect(gaps()).toEqual([false, false, false, true]);
    buffer.addHistory('gateway', []);
    expect(gaps()).toHaveLength(4);
  });

  it('keeps a limited number of lines', () => {
    const buffer = new LogBuffer();
    buffer.append(Array.from({ length: MAX_LINES + 5 }, (_, index) => line(null, index + 1)));
    expect(buffer.lines).toHaveLength(MAX_LINES);
    expect(buffer.lines[0]?.message).toBe('line 6');
  });

  it('removes a log, and is emptied without lines coming back', () => {
    const buffer = new LogBuffer();
    buffer.append([line(null, 1), line('s', 1)]);
    buffer.remove('s');
    expect([buffer.lines.length, buffer.has('s'), buffer.has('gateway')]).toEqual([1, false, true]);
    buffer.clear();
    buffer.append([line(null, 1), line(null, 2)]);
    expect(messages(buffer)).toEqual(['line 2']);
    expect(new Set(buffer.lines.map((entry) => entry.key)).size).toBe(1);
  });
});

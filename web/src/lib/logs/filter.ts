/** Which lines of the logs are shown. */
import type { LogLevel } from '../api/types';
import type { LogLine } from './buffer';

export const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

export interface LogFilter {
  /** Lines without a level, such as those of a crash, are always shown. */
  levels: readonly LogLevel[];
  /** In upper or lower case; empty for all lines. */
  search: string;
  /** Empty for all sources. */
  sources: readonly string[];
}

export const EVERYTHING: LogFilter = { levels: LEVELS, search: '', sources: [] };

/** A function that says whether a line is shown. */
export function compile(filter: LogFilter): (line: LogLine) => boolean {
  const levels = new Set(filter.levels);
  const sources = new Set(filter.sources);
  const hasAll = LEVELS.every((level) => levels.has(level));
  // Much faster than two lower-case copies of each line.
  const search = filter.search === '' ? null : new RegExp(escape(filter.search), 'iu');
  return (line) =>
    (hasAll || line.level === null || levels.has(line.level)) &&
    (sources.size === 0 || sources.has(line.source)) &&
    (search === null || search.test(line.message));
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/gu, (character) => (character === '-' ? '\\x2d' : `\\${character}`));
}

/** A line as text: time, level, source and message. */
export function toText(line: LogLine, nameOf: (source: string) => string): string {
  const time = line.at_ms === null ? '' : `${new Date(line.at_ms).toISOString()} `;
  const level = line.level === null ? '' : `${line.level.toUpperCase().padEnd(5)} `;
  return `${time}${level}${nameOf(line.source)}: ${line.message}`;
}

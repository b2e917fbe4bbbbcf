// Levels of log lines as words and colors.
import type { LogLevel } from '$lib/api';

const TEXT: Record<LogLevel, string> = {
  error: 'text-bad',
  warn: 'text-warn',
  info: 'text-ink-2',
  debug: 'text-ink-3',
  trace: 'text-ink-3',
};

/** The class of its color. */
export function levelText(level: LogLevel | null): string {
  return level === null ? 'text-bad' : TEXT[level];
}

/** Lines of other origin, such as those of a crash, have no level. */
export function levelWord(level: LogLevel | null): string {
  return level ?? '–';
}

// What the log view remembers in this browser: levels, following and columns. The URL goes before it.
import type { LogLevel } from '$lib/api';
import { LEVELS } from './filter';

export interface LogPreferences {
  levels: LogLevel[];
  follow: boolean;
  /** Columns before the message. */
  time: boolean;
  source: boolean;
}

const KEY = 'mlxm.logs';

export const DEFAULTS: LogPreferences = { levels: [...LEVELS], follow: true, time: true, source: true };

/** What is stored; the default of what is missing or damaged. */
export function readPreferences(storage: Pick<Storage, 'getItem'> | null): LogPreferences {
  let stored: unknown;
  try {
    stored = JSON.parse(storage?.getItem(KEY) ?? '{}');
  } catch {
    return DEFAULTS;
  }
  if (typeof stored !== 'object' || stored === null) return DEFAULTS;
  const { levels, follow, time, source } = stored as Record<string, unknown>;
  return {
    levels: Array.isArray(levels) ? LEVELS.filter((level) => levels.includes(level)) : DEFAULTS.levels,
    follow: typeof follow === 'boolean' ? follow : DEFAULTS.follow,
    time: typeof time === 'boolean' ? time : DEFAULTS.time,
    source: typeof source === 'boolean' ? source : DEFAULTS.source,
  };
}

export function writePreferences(storage: Pick<Storage, 'setItem'> | null, preferences: LogPreferences): void {
  try {
    storage?.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // Full or forbidden: they last as long as the page.
  }
}

/** Levels of the URL, such as `error,warn`; null if it names none. */
export function levelsOf(parameter: string | null): LogLevel[] | null {
  if (parameter === null) return null;
  const names = parameter.split(',');
  return LEVELS.filter((level) => names.includes(level));
}

/** For the URL; null for all levels. */
export function levelsParameter(levels: readonly LogLevel[]): string | null {
  return levels.length === LEVELS.length ? null : levels.join(',');
}

/** Values of settings as texts, and back. */
import type { Setting } from '$lib/api';
import { formatBytes, formatSeconds, parseBytes, parseSeconds } from './quantity';

/** How a value is edited. */
export type Kind = 'text' | 'list' | 'count' | 'days' | 'seconds' | 'bytes' | 'speed' | 'choice';

/** A value that has a name, such as 0 for "No limit". */
export interface Named {
  readonly text: string;
  readonly label: string;
}

/** What a text means, or what is wrong with it. */
export type Parsed = { readonly value: unknown } | { readonly error: string };

const named: Readonly<Record<string, readonly Named[]>> = {
  'pool.memory_budget_bytes': [{ text: '0 B', label: 'Automatic: 80% of the memory' }],
  'pool.ttl_seconds': [
    { text: '-1 s', label: 'Never' },
    { text: '0 s', label: 'At once' },
  ],
  'downloads.bytes_per_second': [{ text: '0 B', label: 'No limit' }],
  'server.port': [{ text: '0', label: 'Any free one' }],
  'logs.file': [
    { text: '', label: 'gateway.log in the home directory' },
    { text: 'off', label: 'None' },
  ],
  'models.cache_directory': [{ text: '', label: 'The cache shared with huggingface_hub' }],
  'logs.level': ['off', 'error', 'warn', 'info', 'debug', 'trace'].map((level) => ({ text: level, label: level })),
};

/** The values of a setting that have names. For a choice, there are no others. */
export function namedValues(setting: Setting): readonly Named[] {
  return named[setting.key] ?? [];
}

export function kindOf(setting: Setting): Kind {
  if (setting.key === 'logs.level') return 'choice';
  if (Array.isArray(setting.default)) return 'list';
  if (typeof setting.default !== 'number') return 'text';
  if (setting.key.endsWith('bytes_per_second')) return 'speed';
  if (setting.key.endsWith('_bytes')) return 'bytes';
  if (setting.key.endsWith('_seconds')) return 'seconds';
  if (setting.key.endsWith('_days')) return 'days';
  return 'count';
}

/** The text that means a value of the setting. */
export function format(setting: Setting, value: unknown): string {
  if (Array.isArray(value)) return value.map(String).join('\n');
  if (typeof value !== 'number') return typeof value === 'string' ? value : JSON.stringify(value ?? '');
  switch (kindOf(setting)) {
    case 'bytes':
    case 'speed':
      return formatBytes(value);
    case 'seconds':
      return formatSeconds(value);
    default:
      return String(value);
  }
}

/** The value in words, as the default is shown. */
export function describe(setting: Setting, value: unknown): string {
  const text = format(setting, value);
  const name = namedValues(setting).find((each) => each.text === text);
  if (name) return name.label;
  switch (kindOf(setting)) {
    case 'days':
      return text === '1' ? '1 day' : `${text} days`;
    case 'speed':
      return `${text}/s`;
    case 'list':
      return text === '' ? 'none' : text.replaceAll('\n', ', ');
    default:
      return text;
  }
}

function number(setting: Setting, text: string): number | undefined {
  switch (kindOf(setting)) {
    case 'bytes':
      return parseBytes(text, 'GB');
    case 'speed':
      return parseBytes(text, 'MB');
    case 'seconds':
      return parseSeconds(text);
    case 'days':
      return /^\d+( days?)?$/.test(text) ? Number.parseInt(text, 10) : undefined;
    default:
      return /^\d+$/.test(text) ? Number(text) : undefined;
  }
}

/** What a text means. The gateway checks ranges, and names them. */
export function parse(setting: Setting, text: string): Parsed {
  if (kindOf(setting) === 'list') {
    const lines = text.split('\n').map((line) => line.trim());
    return { value: lines.filter((line) => line !== '') };
  }
  const trimmed = text.trim();
  if (typeof setting.default !== 'number') return { value: trimmed };
  const value = number(setting, trimmed);
  if (value === undefined || !Number.isSafeInteger(value)) return { error: `Enter ${setting.expects}.` };
  return { value };
}

/** Whether two values of a setting are equal. */
export function isEqual(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** Texts of the form to values of the API, and back. */
import { formatSeconds, parseSeconds } from '$lib/settings/quantity';
import type { FieldSpec } from './fields';

/** A value of the API. `undefined` is an absent one: the default applies. */
export type Value = string | number | boolean | string[] | Record<string, number> | undefined;

/** What a text means, or what is wrong with it. */
export type Parsed = { readonly value: Value } | { readonly error: string };

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 10 });

function isOutside(field: FieldSpec, value: number): boolean {
  const { min, max, minExcluded } = field;
  if (min !== undefined && (minExcluded ? value <= min : value < min)) return true;
  return max !== undefined && value > max;
}

function expected(field: FieldSpec): string {
  const { min, max, minExcluded } = field;
  const noun = field.kind === 'decimal' ? 'a number' : 'a whole number';
  const low = min === undefined ? undefined : grouped.format(min);
  const high = max === undefined ? undefined : grouped.format(max);
  if (low !== undefined && minExcluded) {
    return `Enter ${noun} greater than ${low}${high === undefined ? '' : ` and at most ${high}`}.`;
  }
  if (low !== undefined && high !== undefined) return `Enter ${noun} from ${low} to ${high}.`;
  if (low !== undefined) return `Enter ${noun} of at least ${low}.`;
  if (high !== undefined) return `Enter ${noun} of at most ${high}.`;
  return `Enter ${noun}.`;
}

function integer(field: FieldSpec, text: string): Parsed {
  const match = /^([-+]?\d+)(k?)$/i.exec(text.replace(/[\s,_']/g, ''));
  const isThousands = match?.[2] !== '';
  if (!match || (isThousands && field.kind !== 'tokens')) return { error: expected(field) };
  const value = Number(match[1]) * (isThousands ? 1024 : 1);
  if (!Number.isSafeInteger(value) || isOutside(field, value)) return { error: expected(field) };
  return { value };
}

function seconds(field: FieldSpec, text: string): Parsed {
  const value = parseSeconds(text);
  if (value !== undefined && !isOutside(field, value)) return { value };
  const max = field.max === undefined ? '' : ` of at most ${formatSeconds(field.max)}`;
  return { error: `Enter a duration${max}, such as 30 min.` };
}

function decimal(field: FieldSpec, text: string): Parsed {
  const value = Number(text.replace(',', '.'));
  if (!Number.isFinite(value) || isOutside(field, value)) return { error: expected(field) };
  return { value };
}

function thinking(text: string): Parsed {
  return { value: text === 'true' ? true : text === 'false' ? false : text };
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\' };

function unescaped(line: string): string {
  return line.replace(/\\([nrt\\])/g, (_, letter: string) => escapes[letter] ?? letter);
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t');
}

function strings(text: string): Parsed {
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length > 32) return { error: 'Enter at most 32 strings.' };
  return { value: lines.length > 0 ? lines.map(unescaped) : undefined };
}

function biases(text: string): Parsed {
  const value: Record<string, number> = {};
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const match = /^\s*(\d+)\s*[:=\s]\s*([-+]?\d+(?:[.,]\d+)?)\s*$/.exec(line);
    const token = match?.[1];
    const bias = Number(match?.[2]?.replace(',', '.'));
    if (token === undefined || !Number.isFinite(bias)) {
      return { error: `"${line.trim()}" is not a token id, a colon and a bias.` };
    }
    if (Math.abs(bias) > 100) return { error: `The bias of ${token} must be from -100 to 100.` };
    value[token] = bias;
  }
  return { value: Object.keys(value).length > 0 ? value : undefined };
}

/** What the text of a field means. */
export function parse(field: FieldSpec, text: string): Parsed {
  if (field.kind === 'prose') return { value: text.trim() === '' ? undefined : text };
  if (field.kind === 'strings') return strings(text);
  if (field.kind === 'biases') return biases(text);
  const trimmed = text.trim();
  if (trimmed === '') return { value: undefined };
  switch (field.kind) {
    case 'integer':
    case 'tokens':
      return integer(field, trimmed);
    case 'seconds':
      return seconds(field, trimmed);
    case 'decimal':
      return decimal(field, trimmed);
    case 'thinking':
      return thinking(trimmed);
    default:
      return { value: trimmed };
  }
}

/** The text that means the value. */
export function format(field: FieldSpec, value: unknown): string {
  if (value === undefined || value === null) return '';
  if (field.kind === 'strings' && Array.isArray(value)) {
    return value.map((each) => escaped(String(each))).join('\n');
  }
  if (field.kind === 'biases' && typeof value === 'object') {
    return Object.entries(value)
      .map(([token, bias]) => `${token}: ${String(bias)}`)
      .join('\n');
  }
  if (field.kind === 'seconds' && typeof value === 'number') return formatSeconds(value);
  return String(value);
}

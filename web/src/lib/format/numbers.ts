/** Numbers with their units, as the page shows them everywhere. */

/** A number and its unit, for a place that shows the unit in another colour. */
export interface Quantity {
  value: string;
  unit: string;
}

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;
const COUNTS = ['', 'k', 'M', 'B'] as const;

/** No-break, so that a number and its unit stay on a line. */
const SPACE = '\u00a0';

/** By the digits after the point. A format takes much longer to make than to use. */
const formats = new Map<number, Intl.NumberFormat>();

/** Digits in groups, as the reader's language writes them. */
export function integer(value: number): string {
  return decimal(value, 0);
}

/** With a fixed number of digits after the point, so that numbers below each other line up. */
export function decimal(value: number, digits: number): string {
  let format = formats.get(digits);
  if (format === undefined) {
    format = new Intl.NumberFormat(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
    formats.set(digits, format);
  }
  return format.format(value);
}

/** Decimal units, as disks and the gateway have them: 1 GB is 10⁹ bytes. */
export function bytesParts(value: number): Quantity {
  let [scaled, unit] = [value, 0];
  // 999.96 MB would be shown as 1000.0 MB.
  while (scaled >= 999.95 && unit < SIZES.length - 1) [scaled, unit] = [scaled / 1000, unit + 1];
  // Whole numbers below MB: no one counts tenths of them.
  return { value: unit < 2 ? integer(scaled) : decimal(scaled, 1), unit: SIZES[unit] ?? 'B' };
}

export function bytes(value: number): string {
  return join(bytesParts(value));
}

/** Bytes per second. */
export function rate(value: number): string {
  return `${bytes(value)}/s`;
}

/** About how many: `1.2 M`. Small numbers are exact. */
export function countParts(value: number): Quantity {
  if (value < 10_000) return { value: integer(value), unit: '' };
  let [scaled, unit] = [value, 0];
  while (scaled >= 999.5 && unit < COUNTS.length - 1) [scaled, unit] = [scaled / 1000, unit + 1];
  return { value: decimal(scaled, scaled < 99.95 ? 1 : 0), unit: COUNTS[unit] ?? '' };
}

export function count(value: number): string {
  return join(countParts(value));
}

/** Of a part from 0 to 1. */
export function percent(part: number): string {
  return `${integer(part * 100)}%`;
}

/** Tokens of a context: `32k`, or `1,000` where it is not a multiple of 1,024. */
export function tokens(value: number): string {
  return value >= 1024 && value % 1024 === 0 ? `${integer(value / 1024)}k` : integer(value);
}

/** A word that depends on a number: `1 model`, `2 models`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${integer(value)}${SPACE}${value === 1 ? one : many}`;
}

function join({ value, unit }: Quantity): string {
  return unit === '' ? value : `${value}${SPACE}${unit}`;
}

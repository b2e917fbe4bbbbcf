/** Durations and sizes as people write them: `30 min`, `38.4 GB`. */

const secondsPer: Readonly<Record<string, number>> = {
  s: 1,
  sec: 1,
  second: 1,
  seconds: 1,
  m: 60,
  min: 60,
  minute: 60,
  minutes: 60,
  h: 3600,
  hour: 3600,
  hours: 3600,
  d: 86400,
  day: 86400,
  days: 86400,
};

const bytesPer: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

function parse(text: string, units: Readonly<Record<string, number>>, unit: string): number | undefined {
  const match = /^([-+]?[\d\s_']*\d(?:[.,]\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const factor = units[(match?.[2] === '' ? unit : (match?.[2] ?? '')).toLowerCase()];
  if (!match || factor === undefined) return undefined;
  const number = Number(match[1]?.replace(/[\s_']/g, '').replace(',', '.'));
  const value = Math.round(number * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Seconds, without a unit or with one up to days; `undefined` for other texts. */
export function parseSeconds(text: string): number | undefined {
  return parse(text, secondsPer, 's');
}

/** The largest unit of which it is a whole number, so that no digit is lost. Days are those of retention only. */
export function formatSeconds(seconds: number): string {
  if (seconds > 0 && seconds % 3600 === 0) return `${String(seconds / 3600)} h`;
  if (seconds > 0 && seconds % 60 === 0) return `${String(seconds / 60)} min`;
  return `${String(seconds)} s`;
}

/** Bytes with a unit, or in `unit` without one; `undefined` for other texts. `/s` at the end is accepted. */
export function parseBytes(text: string, unit: 'GB' | 'MB'): number | undefined {
  return parse(text.replace(/\/s\s*$/i, ''), bytesPer, unit);
}

/** The largest unit of which it has at most three decimals, so that no digit is lost. */
export function formatBytes(bytes: number): string {
  for (const unit of ['TB', 'GB', 'MB', 'TiB', 'GiB', 'MiB', 'kB']) {
    const size = bytesPer[unit.toLowerCase()] ?? 1;
    if (bytes >= size && (bytes * 1000) % size === 0) return `${String(bytes / size)} ${unit}`;
  }
  return `${String(bytes)} B`;
}

/** Times and durations, as the page shows them everywhere. */
import { decimal, integer } from './numbers';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SPACE = '\u00a0';

/** The two largest units: `3 h 12 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return unit(whole, 's');
  if (whole < 10 * MINUTE) return two(whole, MINUTE, 'min', 1, 's');
  if (whole < HOUR) return unit(Math.floor(whole / MINUTE), 'min');
  if (whole < DAY) return two(whole, HOUR, 'h', MINUTE, 'min');
  return two(whole, DAY, 'd', HOUR, 'h');
}

/** A short time: `12 ms`, `0.31 s`, `4.2 s`, `1 min 5 s`. */
export function milliseconds(value: number): string {
  if (value < 100) return unit(Math.round(value), 'ms');
  if (value < 9_995) return `${decimal(value / 1000, value < 995 ? 2 : 1)}${SPACE}s`;
  return duration(Math.round(value / 1000));
}

/** How long something will take, which is never exact: `about 40 s`. */
export function remaining(seconds: number): string {
  if (seconds < 5) return 'a few seconds';
  if (seconds < MINUTE) return `about ${unit(Math.ceil(seconds / 5) * 5, 's')}`;
  if (seconds < HOUR) return `about ${unit(Math.ceil(seconds / MINUTE), 'min')}`;
  const halves = Math.round(seconds / HOUR / 0.5) * 0.5;
  return `about ${decimal(halves, Number.isInteger(halves) ? 0 : 1)}${SPACE}h`;
}

/** How long ago: `just now`, `12 min ago`. Never negative, when the clocks of two machines differ. */
export function ago(atMs: number, nowMs: number): string {
  const seconds = Math.max(0, (nowMs - atMs) / 1000);
  if (seconds < 10) return 'just now';
  const [value, name] = largest(seconds);
  return `${unit(value, name)} ago`;
}

/** Date and time, to the second: what is shown on hover. */
export const exact = formatter({ dateStyle: 'medium', timeStyle: 'medium' });

/** The time of a day with milliseconds, as in a log. */
export const clockTime = formatter({
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});

/** The time of a day to the second. */
export const secondTime = formatter({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

/** The time of a day to the minute. */
export const minuteTime = formatter({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** The day of a week. */
export const weekday = formatter({ weekday: 'long' });

/** The month of a year. */
export const month = formatter({ month: 'long', year: 'numeric' });

/** Formats times. A format takes much longer to make than to use; it keeps its time zone, which changes when one travels. */
function formatter(options: Intl.DateTimeFormatOptions): (atMs: number) => string {
  let format: Intl.DateTimeFormat | undefined;
  let zone = 0;
  return (atMs) => {
    const now = new Date(atMs).getTimezoneOffset();
    if (format === undefined || zone !== now) format = new Intl.DateTimeFormat(undefined, options);
    zone = now;
    return format.format(atMs);
  };
}

function largest(seconds: number): [number, string] {
  if (seconds < MINUTE) return [Math.floor(seconds), 's'];
  if (seconds < HOUR) return [Math.floor(seconds / MINUTE), 'min'];
  if (seconds < DAY) return [Math.floor(seconds / HOUR), 'h'];
  return [Math.floor(seconds / DAY), 'd'];
}

function unit(value: number, name: string): string {
  return `${integer(value)}${SPACE}${name}`;
}

/** The second unit is left out if it is zero. */
function two(seconds: number, size: number, name: string, subSize: number, subName: string): string {
  const first = unit(Math.floor(seconds / size), name);
  const rest = Math.floor((seconds % size) / subSize);
  return rest === 0 ? first : `${first} ${unit(rest, subName)}`;
}

/** Lines of several logs in one list, without repetitions. */
import type { LogEvent, LogLevel } from '../api/types';

/** Most lines that are kept. */
export const MAX_LINES = 20_000;

/** The name of the gateway's own log. */
export const GATEWAY = 'gateway';

export interface LogLine {
  /** Unique in the page, and ascending in the order of arrival. */
  key: number;
  /** `gateway`, or the id of a server. */
  source: string;
  at_ms: number | null;
  level: LogLevel | null;
  message: string;
  /** Lines before this one were lost. */
  gap: boolean;
}

/** Where a line is in its log: as the gateway orders them. */
interface Position {
  rotated_at_ms: number;
  offset: number;
}

export function sourceOf(event: LogEvent): string {
  return event.server ?? GATEWAY;
}

export class LogBuffer {
  /** Oldest first. A new array after each change. */
  lines: readonly LogLine[] = [];
  #last = new Map<string, Position>();
  #nextKey = 0;

  /** Whether lines of a source are there. */
  has(source: string): boolean {
    return this.#last.has(source);
  }

  /**
   * Adds the last lines of a log that was read. If some are there already and none of the new ones is among them, lines between
   * were lost. Returns the lines that were added.
   */
  addHistory(source: string, history: readonly LogEvent[]): LogLine[] {
    const last = this.#last.get(source);
    const first = history[0];
    const isGap = last !== undefined && first !== undefined && isLater(first, last);
    const added = this.#lines(history);
    if (isGap && added[0] !== undefined) added[0].gap = true;
    // The histories of several logs are read one after the other.
    this.lines = last === undefined ? merge(this.lines, added).slice(-MAX_LINES) : this.#appended(added);
    return added;
  }

  /** Adds live lines, of any of the logs. Returns those that are new. */
  append(events: readonly LogEvent[]): LogLine[] {
    const added = this.#lines(events);
    if (added.length > 0) this.lines = this.#appended(added);
    return added;
  }

  /** Takes the lines of a log out; they can be read again. */
  remove(source: string): void {
    this.#last.delete(source);
    this.lines = this.lines.filter((line) => line.source !== source);
  }

  /** Empties the list. Lines that were in it do not come back. */
  clear(): void {
    this.lines = [];
  }

  #appended(added: readonly LogLine[]): readonly LogLine[] {
    return [...this.lines, ...added].slice(-MAX_LINES);
  }

  #lines(events: readonly LogEvent[]): LogLine[] {
    const lines: LogLine[] = [];
    for (const event of events) {
      const source = sourceOf(event);
      const last = this.#last.get(source);
      if (last !== undefined && !isLater(event, last)) continue;
      this.#last.set(source, { rotated_at_ms: event.rotated_at_ms, offset: event.offset });
      const { at_ms = null, level = null, message } = event;
      lines.push({ key: this.#nextKey++, source, at_ms, level, message, gap: false });
    }
    return lines;
  }
}

function isLater(one: Position, other: Position): boolean {
  return one.rotated_at_ms === other.rotated_at_ms
    ? one.offset > other.offset
    : one.rotated_at_ms > other.rotated_at_ms;
}

/** By time. A line without a time, such as those of a crash, stays after the line before it. */
function merge(one: readonly LogLine[], other: readonly LogLine[]): LogLine[] {
  if (one.length === 0) return [...other];
  const merged: LogLine[] = [];
  let [i, j] = [0, 0];
  for (;;) {
    const [a, b] = [one[i], other[j]];
    if (a === undefined) return [...merged, ...other.slice(j)];
    if (b === undefined) return [...merged, ...one.slice(i)];
    if (a.at_ms === null || (b.at_ms !== null && a.at_ms <= b.at_ms)) {
      merged.push(a);
      i += 1;
    } else {
      merged.push(b);
      j += 1;
    }
  }
}

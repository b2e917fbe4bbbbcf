// The index of log lines that the search worker scans. No DOM and no Svelte inside.
import type { LogLevel } from '$lib/api';
import type { LogFilter } from './filter';

/** What is scanned of a line. */
export interface SearchLine {
  /** Number of the line in the list, ascending. */
  number: number;
  level: LogLevel | null;
  /** `gateway`, or the id of a server. */
  source: string;
  message: string;
}

interface Entry {
  number: number;
  level: LogLevel | null;
  source: string;
  lower: string;
}

/** Scans lines. Texts are kept in lower case, so that a search does not convert them again. */
export class LogIndex {
  #entries: Entry[] = [];
  #levels: ReadonlySet<LogLevel> | null = null;
  #sources: ReadonlySet<string> | null = null;
  #search = '';

  /** Number of lines. */
  get size(): number {
    return this.#entries.length;
  }

  /** Forgets all lines. */
  clear(): void {
    this.#entries = [];
  }

  /** Forgets lines before a number. */
  dropBefore(number: number): void {
    const first = this.#entries.findIndex((entry) => entry.number >= number);
    this.#entries.splice(0, first < 0 ? this.#entries.length : first);
  }

  /** Sets the filter and returns the numbers of all lines that match. */
  filter(filter: LogFilter): Uint32Array<ArrayBuffer> {
    this.#levels = new Set(filter.levels);
    this.#sources = filter.sources.length === 0 ? null : new Set(filter.sources);
    this.#search = filter.search.toLowerCase();
    return this.#matches(this.#entries);
  }

  /** Adds lines and returns the numbers of those that match. */
  append(lines: readonly SearchLine[]): Uint32Array<ArrayBuffer> {
    const added = lines.map(({ number, level, source, message }) => ({
      number,
      level,
      source,
      lower: message.toLowerCase(),
    }));
    // A spread would exceed the stack with many lines.
    for (const entry of added) this.#entries.push(entry);
    return this.#matches(added);
  }

  #matches(entries: readonly Entry[]): Uint32Array<ArrayBuffer> {
    const found = new Uint32Array(entries.length);
    let count = 0;
    for (const { number, level, source, lower } of entries) {
      // Lines without a level, such as those of a crash, are always shown.
      if (level !== null && this.#levels !== null && !this.#levels.has(level)) continue;
      if (this.#sources !== null && !this.#sources.has(source)) continue;
      if (this.#search !== '' && !lower.includes(this.#search)) continue;
      found[count] = number;
      count += 1;
    }
    return found.slice(0, count);
  }
}

/** A piece of a line, for the display of matches. */
export interface Piece {
  text: string;
  match: boolean;
}

/** Splits a line at the matches of a search. */
export function pieces(text: string, search: string): Piece[] {
  if (search === '') return [{ text, match: false }];
  const lower = text.toLowerCase();
  const wanted = search.toLowerCase();
  // Lower case can have another length in some scripts: positions would be wrong.
  if (lower.length !== text.length) return [{ text, match: false }];
  const found: Piece[] = [];
  let at = 0;
  for (;;) {
    const next = lower.indexOf(wanted, at);
    if (next < 0) break;
    if (next > at) found.push({ text: text.slice(at, next), match: false });
    found.push({ text: text.slice(next, next + wanted.length), match: true });
    at = next + wanted.length;
  }
  if (at < text.length || found.length === 0) found.push({ text: text.slice(at), match: false });
  return found;
}

// The lines that a page shows: those of the open logs that its filter selects. The worker searches; this keeps it up to date.
import type { LogLine } from './buffer';
import { EVERYTHING, LEVELS, type LogFilter } from './filter';
import type { SearchRequest, SearchResponse } from './protocol';

/** Where searches are done. */
export interface SearchPort {
  send(request: SearchRequest): void;
  close(): void;
}

type Connect = (receive: (response: SearchResponse) => void) => SearchPort;

export class LogView {
  /** Oldest first. */
  lines = $state.raw<readonly LogLine[]>([]);
  /** A search is running; `lines` are those of the filter before. */
  isSearching = $state(false);

  #port: SearchPort;
  #all: readonly LogLine[] = [];
  /** Number of the first line of `#all`. Numbers are not reused. */
  #first = 0;
  #filter: LogFilter = EVERYTHING;
  #id = 0;

  constructor(connect: Connect = connectWorker) {
    this.#port = connect((response) => this.#receive(response));
  }

  /** All lines of the open logs, after a change of them. */
  update(all: readonly LogLine[]): void {
    if (all === this.#all) return;
    const kept = overlap(this.#all, all);
    if (kept === null) this.#replace(all);
    else this.#extend(all, kept);
    if (selectsAll(this.#filter)) this.lines = all;
  }

  /** Selects other lines. */
  filter(filter: LogFilter): void {
    this.#filter = filter;
    this.#id += 1;
    if (selectsAll(filter)) {
      this.isSearching = false;
      this.lines = this.#all;
      // The worker is told nothing: lines that it returns for the filter before are dropped.
      return;
    }
    this.isSearching = true;
    this.#port.send({ type: 'filter', id: this.#id, filter });
  }

  close(): void {
    this.#port.close();
  }

  #replace(all: readonly LogLine[]): void {
    this.#first += this.#all.length;
    this.#all = all;
    this.#port.send({ type: 'clear' });
    this.#send(all, this.#first);
    // What was added is not a part of what was there: all of it is searched again.
    if (!selectsAll(this.#filter)) this.filter(this.#filter);
  }

  #extend(all: readonly LogLine[], kept: { dropped: number; added: number }): void {
    const end = this.#first + this.#all.length;
    this.#first += kept.dropped;
    this.#all = all;
    if (kept.dropped > 0) {
      this.#port.send({ type: 'drop', before: this.#first });
      if (!selectsAll(this.#filter)) this.#dropShown(all[0]);
    }
    this.#send(all.slice(all.length - kept.added), end);
  }

  #dropShown(oldest: LogLine | undefined): void {
    const all = new Set(this.#all);
    if (oldest !== undefined) this.lines = this.lines.filter((line) => all.has(line));
  }

  #send(lines: readonly LogLine[], first: number): void {
    if (lines.length === 0) return;
    const sent = lines.map(({ level, source, message }, index) => ({ number: first + index, level, source, message }));
    this.#port.send({ type: 'append', lines: sent });
  }

  #receive(response: SearchResponse): void {
    if (response.id !== this.#id || selectsAll(this.#filter)) return;
    const found: LogLine[] = [];
    for (const number of response.numbers) {
      const line = this.#all[number - this.#first];
      if (line !== undefined) found.push(line);
    }
    if (response.type === 'matches') {
      this.isSearching = false;
      this.lines = found;
    } else if (found.length > 0 && !this.isSearching) {
      this.lines = [...this.lines, ...found];
    }
  }
}

/** Every line matches, so that nothing has to be searched. */
function selectsAll(filter: LogFilter): boolean {
  return filter.search === '' && filter.sources.length === 0 && LEVELS.every((level) => filter.levels.includes(level));
}

/** How `after` came from `before`, if lines were only removed at its start and added at its end; null otherwise. */
export function overlap<Line>(
  before: readonly Line[],
  after: readonly Line[],
): { dropped: number; added: number } | null {
  const last = before.at(-1);
  const first = after[0];
  if (last === undefined || first === undefined) return null;
  const end = after.lastIndexOf(last);
  const dropped = before.indexOf(first);
  if (end < 0 || dropped < 0 || before.length - dropped !== end + 1) return null;
  return { dropped, added: after.length - 1 - end };
}

function connectWorker(receive: (response: SearchResponse) => void): SearchPort {
  const worker = new Worker(new URL('./search.worker.ts', import.meta.url), { type: 'module', name: 'log search' });
  worker.addEventListener('message', (event: MessageEvent<SearchResponse>) => receive(event.data));
  return { send: (request) => worker.postMessage(request), close: () => worker.terminate() };
}

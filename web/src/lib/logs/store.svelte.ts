/** Logs of the gateway and of servers: their last lines, and new ones while a page shows them. */
import { untrack } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';

import { api, attempt, type LogEvent, type LogLines, type Problem, type Result, type StreamEvent } from '$lib/api';
import { events, logTopic, type Status } from '$lib/events';

import { GATEWAY, LogBuffer, MAX_LINES, type LogLine } from './buffer';
import { compile, EVERYTHING, toText, type LogFilter } from './filter';

export type { LogLine } from './buffer';
export { LEVELS, type LogFilter } from './filter';

/** Lines that are read when a log is opened: about what a list of all sources shows without a search. */
const HISTORY_LINES = 10_000;

/** One log that is shown. */
interface Source {
  watchers: number;
  unsubscribe: () => void;
  /** Live lines that came while the history was being read; null if it is not. */
  waiting: LogEvent[] | null;
  /** Lines were lost while the history was being read. */
  isAgain: boolean;
  /** The history was read while the stream was not live, or could not be read. */
  isStale: boolean;
}

export class LogStore {
  /** Those that the filter selects, oldest first. */
  lines = $state.raw<readonly LogLine[]>([]);
  /** All lines that are there. */
  total = $state(0);
  filter = $state.raw<LogFilter>(EVERYTHING);
  /** Of each open log: one may fail while others are shown. */
  readonly states = new SvelteMap<string, { status: Status; problem: Problem | null }>();
  #buffer = new LogBuffer();
  #sources = new Map<string, Source>();
  #accepts = compile(EVERYTHING);
  #incoming: LogEvent[] = [];
  #events: typeof events;

  constructor(stream = events) {
    this.#events = stream;
  }

  /** `ready` as soon as one log is there. */
  get status(): Status {
    const all = [...this.states.values()].map((state) => state.status);
    return (['ready', 'loading', 'error'] as const).find((status) => all.includes(status)) ?? 'idle';
  }

  /** The first problem. */
  get problem(): Problem | null {
    return [...this.states.values()].find((state) => state.problem !== null)?.problem ?? null;
  }

  /** Shows logs until the function is called that it returns: `gateway`, and ids of servers. */
  open(sources: readonly string[]): () => void {
    const opened = [...new Set(sources)];
    // Effects call this.
    untrack(() => opened.forEach((source) => this.#open(source)));
    return () => untrack(() => opened.forEach((source) => this.#close(source)));
  }

  /** Reads a log again that could not be read. */
  reload(source: string): void {
    const opened = this.#sources.get(source);
    if (opened !== undefined) this.#lost(source, opened);
  }

  setFilter(filter: Partial<LogFilter>): void {
    this.filter = { ...this.filter, ...filter };
    this.#accepts = compile(this.filter);
    this.#filterAll();
  }

  /** Empties the list; new lines follow. */
  clear(): void {
    this.#buffer.clear();
    this.#filterAll();
  }

  /** The lines that are shown, as a file. */
  exportText(format: 'txt' | 'jsonl', nameOf: (source: string) => string = (source) => source): Blob {
    const write = (line: LogLine): string => {
      if (format === 'txt') return toText(line, nameOf);
      const { source, at_ms, level, message } = line;
      return JSON.stringify({ source, name: nameOf(source), at_ms, level, message });
    };
    const text = this.lines.map((line) => `${write(line)}\n`).join('');
    return new Blob([text], { type: format === 'txt' ? 'text/plain' : 'application/jsonl' });
  }

  #open(source: string): void {
    const known = this.#sources.get(source);
    if (known !== undefined) {
      known.watchers += 1;
      return;
    }
    const unsubscribe = (): void => undefined;
    const opened: Source = { watchers: 1, unsubscribe, waiting: null, isAgain: false, isStale: false };
    this.#sources.set(source, opened);
    opened.unsubscribe = this.#events.subscribe({
      topics: [logTopic(source)],
      apply: (event) => this.#apply(opened, event),
      reset: () => this.#lost(source, opened),
      live: () => {
        if (opened.isStale) this.#lost(source, opened);
      },
    });
    void this.#read(source, opened);
  }

  #close(source: string): void {
    const opened = this.#sources.get(source);
    if (opened === undefined) return;
    opened.watchers -= 1;
    if (opened.watchers > 0) return;
    opened.unsubscribe();
    this.#sources.delete(source);
    this.states.delete(source);
    this.#buffer.remove(source);
    this.#filterAll();
  }

  #apply(opened: Source, event: StreamEvent): void {
    if (event.topic !== 'logs') return;
    if (opened.waiting !== null) {
      opened.waiting.push(event.event);
      return;
    }
    this.#incoming.push(event.event);
    // All lines of a message are one change.
    if (this.#incoming.length === 1) queueMicrotask(() => this.#append());
  }

  #append(): void {
    const added = this.#buffer.append(this.#incoming);
    this.#incoming = [];
    if (added.length === 0) return;
    if (this.#buffer.lines.length === MAX_LINES) {
      this.#filterAll();
      return;
    }
    this.total = this.#buffer.lines.length;
    const shown = added.filter(this.#accepts);
    if (shown.length > 0) this.lines = [...this.lines, ...shown];
  }

  #lost(source: string, opened: Source): void {
    if (opened.waiting === null) void this.#read(source, opened);
    else opened.isAgain = true;
  }

  async #read(source: string, opened: Source): Promise<void> {
    opened.waiting = [];
    do {
      opened.isAgain = false;
      this.#report(source, 'loading', null);
      opened.isStale = !(await this.#events.ready([logTopic(source)]));
      const result = await readHistory(source);
      // It was closed meanwhile.
      if (this.#sources.get(source) !== opened) return;
      if (result.ok) {
        this.#buffer.addHistory(source, result.value.lines);
        this.#report(source, 'ready', null);
      } else {
        opened.isStale = true;
        this.#report(source, 'error', result.problem);
      }
    } while (opened.isAgain);
    this.#buffer.append(opened.waiting);
    opened.waiting = null;
    this.#filterAll();
  }

  #filterAll(): void {
    this.total = this.#buffer.lines.length;
    this.lines = this.#buffer.lines.filter(this.#accepts);
  }

  /** Lines that are there stay, also while they are read again. */
  #report(source: string, status: Status, problem: Problem | null): void {
    const shown = status === 'loading' && this.#buffer.has(source) ? 'ready' : status;
    this.states.set(source, { status: shown, problem });
  }
}

function readHistory(source: string): Promise<Result<LogLines>> {
  const query = { lines: HISTORY_LINES };
  return attempt(() =>
    source === GATEWAY
      ? api.get('/api/logs', { params: { query } })
      : api.get('/api/servers/{id}/logs', { params: { path: { id: source }, query } }),
  );
}

export const logs = new LogStore();

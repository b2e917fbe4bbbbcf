// Code as spans with scopes, by a worker that starts with the first of it.

import type { Span } from './spans';

export interface HighlightRequest {
  id: number;
  text: string;
  language: string;
}

export interface HighlightResponse {
  id: number;
  spans: Span[] | null;
}

/** Longer code is not highlighted. */
const MAX_LENGTH = 100_000;

/** Characters of code whose spans are kept, so that a conversation that is opened again has them at once. */
const MAX_KEPT = 300_000;

/** Code that takes longer is not highlighted: a pattern of its language may need exponential time. */
const DEADLINE_MS = 5_000;

export type Post = (request: HighlightRequest) => void;

/** A worker, or what stands for it in tests. */
export interface HighlightWorker {
  post: Post;
  close: () => void;
}

export type StartWorker = (receive: (response: HighlightResponse) => void, fail: () => void) => HighlightWorker;

interface Pending {
  resolve: (spans: Span[] | null) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Highlighter {
  #worker: HighlightWorker | null = null;
  #nextId = 0;
  #keptLength = 0;
  readonly #pending = new Map<number, Pending>();
  readonly #kept = new Map<string, Promise<Span[] | null>>();

  constructor(private readonly start: StartWorker) {}

  /** Null if the code stays as it is. */
  highlight(text: string, language: string): Promise<Span[] | null> {
    if (text.length > MAX_LENGTH) return Promise.resolve(null);
    const key = `${language}\n${text}`;
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const found = this.#request(text, language.toLowerCase());
    this.#keep(key, found);
    return found;
  }

  #request(text: string, language: string): Promise<Span[] | null> {
    return new Promise((resolve) => {
      this.#worker ??= this.start(
        ({ id, spans }) => this.#finish(id, spans),
        () => this.#stop(),
      );
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, timer: setTimeout(() => this.#stop(), DEADLINE_MS) });
      this.#worker.post({ id, text, language });
    });
  }

  #keep(key: string, found: Promise<Span[] | null>): void {
    this.#kept.set(key, found);
    this.#keptLength += key.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptLength <= MAX_KEPT) break;
      this.#kept.delete(oldest);
      this.#keptLength -= oldest.length;
    }
  }

  #finish(id: number, spans: Span[] | null): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    pending.resolve(spans);
    // The worker responds in order: the time of the others begins now.
    for (const other of this.#pending.values()) {
      clearTimeout(other.timer);
      other.timer = setTimeout(() => this.#stop(), DEADLINE_MS);
    }
  }

  /** Ends a worker that takes too long or does not start. The next code gets another one. */
  #stop(): void {
    this.#worker?.close();
    this.#worker = null;
    for (const id of [...this.#pending.keys()]) this.#finish(id, null);
  }
}

const highlighter = new Highlighter((receive, fail) => {
  const worker = new Worker(new URL('./highlight.worker.ts', import.meta.url), { type: 'module', name: 'highlight' });
  worker.addEventListener('message', (event: MessageEvent<HighlightResponse>) => receive(event.data));
  worker.addEventListener('error', fail);
  return { post: (request) => worker.postMessage(request), close: () => worker.terminate() };
});

/** The spans of code, or null if it stays as it is. */
export function highlight(text: string, language: string): Promise<Span[] | null> {
  return highlighter.highlight(text, language);
}

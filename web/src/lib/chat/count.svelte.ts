/** Tokens of the next request: estimated with each key, and counted by the gateway when the typing pauses. */
import { api, attempt, type CountRequest } from '$lib/api';

import {
  contextUse,
  DEFAULT_RATIO,
  learnRatio,
  otherCharacters,
  partsNow,
  type ContextUse,
  type Counted,
  type Lengths,
} from './context';

const PAUSE_MS = 200;

export class ContextCounter {
  #counted = $state.raw<Counted | null>(null);
  /** What was counted, to know whether it is what is shown. */
  #key = $state.raw('');
  #ratio = $state(DEFAULT_RATIO);
  #limit = $state.raw<number | null>(null);
  #maxTokens = $state.raw<number | null>(null);
  /** Tokens of files by their hash, as counted last. */
  #files = $state.raw<ReadonlyMap<string, number>>(new Map());
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | null = null;

  /** At once. `limit`: the context length, before it is counted. */
  use(request: CountRequest, lengths: Lengths, limit: number | null): ContextUse {
    const parts = partsNow(lengths, this.#counted, this.#ratio);
    const isExact = this.#key === keyOf(request, lengths);
    return contextUse(parts, this.#limit ?? limit, this.#maxTokens, isExact);
  }

  /** Tokens of a file of the draft; undefined until they are counted. */
  tokensOf(hash: string): number | undefined {
    return this.#files.get(hash);
  }

  /** Counts after a pause. Call it in an effect. */
  schedule(request: CountRequest, lengths: Lengths): () => void {
    this.#timer = setTimeout(() => void this.#count(request, lengths), PAUSE_MS);
    return () => {
      clearTimeout(this.#timer);
      this.#abort?.abort();
    };
  }

  async #count(request: CountRequest, lengths: Lengths): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const result = await attempt(() => api.post('/api/chats/count', { body: request, signal: abort.signal }));
    if (abort.signal.aborted) return;
    if (!result.ok) {
      // The estimate stays: the model may not be on this machine yet. Counts of files are those of another model.
      this.#files = new Map();
      return;
    }
    const { total, system, history, attachments, files, draft, context_length, max_tokens } = result.value;
    this.#files = new Map(files.map(({ hash, tokens }) => [hash, tokens]));
    this.#counted = {
      parts: { system, history, attachments, draft },
      draftCharacters: lengths.draft,
      otherCharacters: otherCharacters(lengths),
    };
    this.#key = keyOf(request, lengths);
    this.#limit = context_length ?? null;
    this.#maxTokens = max_tokens ?? null;
    this.#ratio = learnRatio(this.#ratio, otherCharacters(lengths) + lengths.draft, total);
  }
}

/** The history is in it by its length and its last message. */
function keyOf(request: CountRequest, lengths: Lengths): string {
  return JSON.stringify([request, lengths.history]);
}

// Messages between a page and its search worker.
import type { LogFilter } from './filter';
import { LogIndex, type SearchLine } from './search';

export type SearchRequest =
  | { type: 'clear' }
  | { type: 'drop'; before: number }
  | { type: 'append'; lines: SearchLine[] }
  /** `id` is returned with the result, so that results of earlier filters are dropped. */
  | { type: 'filter'; id: number; filter: LogFilter };

export type SearchResponse =
  /** All lines that match. */
  | { type: 'matches'; id: number; numbers: Uint32Array<ArrayBuffer> }
  /** Lines that were added and match the filter `id`. */
  | { type: 'added'; id: number; numbers: Uint32Array<ArrayBuffer> };

/** What the worker does with a request. Also called by tests, without a worker. */
export class SearchServer {
  #index = new LogIndex();
  #id = 0;

  handle(request: SearchRequest): SearchResponse | null {
    switch (request.type) {
      case 'clear':
        this.#index.clear();
        return null;
      case 'drop':
        this.#index.dropBefore(request.before);
        return null;
      case 'append':
        return { type: 'added', id: this.#id, numbers: this.#index.append(request.lines) };
      case 'filter':
        this.#id = request.id;
        return { type: 'matches', id: request.id, numbers: this.#index.filter(request.filter) };
    }
  }
}

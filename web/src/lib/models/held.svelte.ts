// The rune side of `hold`: the order is taken over when the key changes, and when a user asks for the new rows.

import { hold, type Held } from './hold';

export class HeldList<T> {
  readonly #rows: () => T[];
  readonly #id: (row: T) => string;
  readonly #key: () => string;
  #reveals = $state(0);
  // Not reactive: only what the view has computed from.
  #order: string[] = [];
  #taken = '';

  readonly #view: Held<T> = $derived.by(() => {
    const rows = this.#rows();
    const key = `${this.#reveals} ${this.#key()}`;
    if (key !== this.#taken) {
      this.#taken = key;
      this.#order = rows.map(this.#id);
    }
    return hold(this.#order, rows, this.#id);
  });

  constructor(rows: () => T[], id: (row: T) => string, key: () => string) {
    this.#rows = rows;
    this.#id = id;
    this.#key = key;
  }

  get shown(): T[] {
    return this.#view.shown;
  }

  get held(): T[] {
    return this.#view.held;
  }

  reveal(): void {
    this.#reveals += 1;
  }
}

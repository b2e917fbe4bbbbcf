// Computations of which a few run at once, each at most once for a state of what it depends on.

export class Turns {
  readonly #most: number;
  readonly #run: (name: string) => Promise<void>;
  readonly #states = new Map<string, string>();
  readonly #queue: string[] = [];
  #running = 0;

  constructor(most: number, run: (name: string) => Promise<void>) {
    this.#most = most;
    this.#run = run;
  }

  /** Computes it in its turn, unless that was wanted for this state before. */
  want(name: string, state: string): void {
    if (this.#states.get(name) === state) return;
    this.#states.set(name, state);
    if (!this.#queue.includes(name)) this.#queue.push(name);
    void this.#next();
  }

  async #next(): Promise<void> {
    if (this.#running >= this.#most) return;
    const name = this.#queue.shift();
    if (name === undefined) return;
    this.#running += 1;
    try {
      await this.#run(name);
    } finally {
      this.#running -= 1;
      void this.#next();
    }
  }
}

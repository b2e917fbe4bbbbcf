import { read, write } from './storage';

/** What of the shell is open. */
class Shell {
  #isRailNarrow = $state(false);
  palette = $state(false);
  help = $state(false);

  /** In wide windows; narrower ones always have the narrow rail. */
  get isRailNarrow(): boolean {
    return this.#isRailNarrow;
  }

  restore(): void {
    this.#isRailNarrow = read('rail') === 'narrow';
  }

  toggleRail(): void {
    this.#isRailNarrow = !this.#isRailNarrow;
    write('rail', this.#isRailNarrow ? 'narrow' : null);
  }
}

export const shell = new Shell();

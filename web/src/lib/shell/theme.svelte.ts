import { read, write } from './storage';

export type ThemeChoice = 'system' | 'light' | 'dark';

/** Light or dark. static/theme.js sets it before the first paint, from the same key. */
class Theme {
  #choice = $state<ThemeChoice>('system');
  #systemIsDark = $state(false);
  readonly isDark = $derived(this.#choice === 'dark' || (this.#choice === 'system' && this.#systemIsDark));

  get choice(): ThemeChoice {
    return this.#choice;
  }

  set choice(choice: ThemeChoice) {
    this.#choice = choice;
    write('theme', choice === 'system' ? null : choice);
    this.#apply();
  }

  /** Follows the system and other tabs. Returns how to stop. */
  start(): () => void {
    const system = matchMedia('(prefers-color-scheme: dark)');
    const update = () => {
      const choice = read('theme');
      this.#choice = choice === 'light' || choice === 'dark' ? choice : 'system';
      this.#systemIsDark = system.matches;
      this.#apply();
    };
    update();
    system.addEventListener('change', update);
    window.addEventListener('storage', update);
    return () => {
      system.removeEventListener('change', update);
      window.removeEventListener('storage', update);
    };
  }

  #apply(): void {
    const root = document.documentElement;
    root.dataset.theme = this.isDark ? 'dark' : 'light';
    // The bar of the phone's browser has the color of the page.
    document.querySelector('meta[name="theme-color"]')?.setAttribute('content', this.isDark ? '#13110e' : '#fbfaf7');
  }
}

export const theme = new Theme();

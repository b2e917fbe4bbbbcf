import { SvelteMap } from 'svelte/reactivity';
import { isApple } from '$lib/ui';
import { areInConflict, pressed, Sequence, worksInFields } from './keys';
import { read, write } from './storage';

export interface Shortcut {
  /** Stable name, such as `palette`. */
  id: string;
  label: string;
  /** As in `'mod+k'` and `'g s'`. */
  keys: string;
  /** The part of the list in which it is shown. */
  group: 'Go to' | 'Everywhere' | 'This page';
  run: () => void;
}

/** Shortcuts of the shell and of the page that is open. */
class Shortcuts {
  #all = new SvelteMap<string, Shortcut>();
  #own = new SvelteMap<string, string>();
  #sequence = new Sequence();

  /** Whether keys without a modifier do something. */
  #singleKeys = $state(true);

  /** With the keys that the user has chosen. */
  readonly list = $derived(
    [...this.#all.values()].map((shortcut) => ({ ...shortcut, keys: this.#own.get(shortcut.id) ?? shortcut.keys })),
  );

  get singleKeys(): boolean {
    return this.#singleKeys;
  }

  set singleKeys(on: boolean) {
    this.#singleKeys = on;
    write('single-keys', on ? null : 'off');
  }

  /** Adds shortcuts while an effect is alive: `$effect(() => shortcuts.register([…]))`. */
  register(shortcuts: Shortcut[]): () => void {
    for (const shortcut of shortcuts) this.#all.set(shortcut.id, shortcut);
    return () => {
      for (const { id } of shortcuts) this.#all.delete(id);
    };
  }

  /** The keys of a shortcut, for tooltips. */
  keysOf(id: string): string | undefined {
    return this.list.find((shortcut) => shortcut.id === id)?.keys;
  }

  isChanged(id: string): boolean {
    return this.#own.has(id);
  }

  /** The shortcut that has these keys already, or would not be reached any more, if there is one. */
  conflict(id: string, keys: string): Shortcut | undefined {
    return this.list.find((shortcut) => shortcut.id !== id && areInConflict(shortcut.keys, keys));
  }

  /** Other keys for a shortcut; null for its own. */
  rebind(id: string, keys: string | null): void {
    if (keys === null) this.#own.delete(id);
    else this.#own.set(id, keys);
    write('shortcuts', this.#own.size === 0 ? null : JSON.stringify(Object.fromEntries(this.#own)));
  }

  /** Listens to keys. Returns how to stop. */
  start(): () => void {
    this.#restore();
    const listen = (event: KeyboardEvent) => this.#handle(event);
    window.addEventListener('keydown', listen);
    return () => window.removeEventListener('keydown', listen);
  }

  #handle(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || event.repeat) return;
    const press = pressed(event, isApple());
    if (press === null) return;
    const inField = isField(event.target);
    // A dialog has its own keys, and the page behind it none.
    const inLayer = document.querySelector('dialog:modal, [data-layer]:popover-open') !== null;
    const usable = this.list.filter(({ keys }) => worksInFields(keys) || (this.#singleKeys && !inField && !inLayer));
    const found = this.#sequence.feed(
      press,
      usable.map(({ keys }) => keys),
      event.timeStamp,
    );
    const shortcut = usable.find(({ keys }) => keys === found);
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
  }

  #restore(): void {
    this.#singleKeys = read('single-keys') !== 'off';
    try {
      const stored: unknown = JSON.parse(read('shortcuts') ?? '{}');
      if (typeof stored !== 'object' || stored === null) return;
      for (const [id, keys] of Object.entries(stored)) if (typeof keys === 'string') this.#own.set(id, keys);
    } catch {
      write('shortcuts', null);
    }
  }
}

function isField(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target.matches('textarea, select, input:not([type="checkbox"], [type="radio"], [type="range"])'))
  );
}

export const shortcuts = new Shortcuts();

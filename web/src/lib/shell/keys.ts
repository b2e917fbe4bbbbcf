/** Shortcuts as text: `'mod+k'` is one press, `'g s'` two, one after the other. No Svelte and no DOM here. */

export interface KeyPress {
  key: string;
  /** The place of the key, such as `KeyK`: for keyboards of other scripts. */
  code: string;
  metaKey: boolean;
  ctrlKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

/** Time in which the second key of `'g s'` must follow. */
export const SEQUENCE_MS = 1000;

const MODIFIER_KEYS = new Set(['Shift', 'Control', 'Alt', 'Meta', 'AltGraph', 'CapsLock', 'Dead', 'Process']);

/** The text of a press; null for modifiers alone, and for input methods. */
export function pressed(event: KeyPress, onApple: boolean): string | null {
  if (MODIFIER_KEYS.has(event.key)) return null;
  const isMod = onApple ? event.metaKey : event.ctrlKey;
  const modifiers = [
    isMod && 'mod',
    onApple && event.ctrlKey && 'ctrl',
    event.altKey && 'alt',
    event.shiftKey && needsShift(event) && 'shift',
  ].filter(Boolean);
  return [...modifiers, baseKey(event)].join('+');
}

/** A sign such as `?` needs Shift on some keyboards and not on others, so it is named by itself. */
function needsShift(event: KeyPress): boolean {
  return event.key.length > 1 || /^[a-z]$/i.test(baseKey(event));
}

function baseKey(event: KeyPress): string {
  if (event.key === ' ') return 'space';
  // Letters of other scripts, and those that Option makes on a Mac, are those of the same place.
  const letter = /^Key([A-Z])$/.exec(event.code)?.[1];
  const isAscii = /^[\x21-\x7e]$/.test(event.key);
  if (letter && (!isAscii || event.altKey)) return letter.toLowerCase();
  return event.key.toLowerCase().replace(/^arrow/, '');
}

/** Follows presses and tells which shortcut they complete. */
export class Sequence {
  #first: { press: string; at: number } | null = null;

  /** The shortcut of `all` that `press` completes at `now`, in ms. */
  feed(press: string, all: readonly string[], now: number): string | null {
    const first = this.#first;
    this.#first = null;
    if (first && now - first.at <= SEQUENCE_MS) {
      const both = `${first.press} ${press}`;
      if (all.includes(both)) return both;
    }
    if (all.includes(press)) return press;
    if (all.some((each) => each.startsWith(`${press} `))) this.#first = { press, at: now };
    return null;
  }

  reset(): void {
    this.#first = null;
  }
}

/** Whether two shortcuts cannot both work: they are the same, or one is the beginning of the other. */
export function areInConflict(one: string, other: string): boolean {
  return `${one} `.startsWith(`${other} `) || `${other} `.startsWith(`${one} `);
}

/** Whether a shortcut also works in fields: those with a modifier. */
export function worksInFields(keys: string): boolean {
  return /^(mod|ctrl|alt)\+/.test(keys);
}

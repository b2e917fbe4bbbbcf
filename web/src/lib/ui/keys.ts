/** Whether the keyboard has ⌘ in place of Ctrl. */
export function isApple(): boolean {
  return typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.userAgent);
}

const apple: Record<string, string> = { mod: '⌘', shift: '⇧', alt: '⌥', ctrl: '⌃' };
const other: Record<string, string> = { mod: 'Ctrl', shift: 'Shift', alt: 'Alt', ctrl: 'Ctrl' };
const named: Record<string, string> = {
  enter: 'Enter',
  escape: 'Esc',
  up: '↑',
  down: '↓',
  left: '←',
  right: '→',
  space: 'Space',
};

/**
 * The keys of a shortcut as they are shown. `'mod+k'` is one press of two keys, `'g s'` is two presses.
 * Returns presses, each with its keys.
 */
export function shownKeys(keys: string, onApple: boolean): string[][] {
  const modifiers = onApple ? apple : other;
  return keys
    .split(' ')
    .map((press) =>
      press.split('+').map((key) => modifiers[key] ?? named[key] ?? (key.length === 1 ? key.toUpperCase() : key)),
    );
}

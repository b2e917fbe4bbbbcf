/** Which key sends a message, in this browser. */
import { read, write } from '$lib/shell/storage';

const KEY = 'send-with-mod';

class SendKey {
  #withMod = $state(read(KEY) === 'on');

  /** Enter begins a line, and ⌘Enter or Ctrl+Enter sends. */
  get withMod(): boolean {
    return this.#withMod;
  }

  set withMod(on: boolean) {
    this.#withMod = on;
    write(KEY, on ? 'on' : null);
  }

  /** Whether a press sends what is written. Enter of an input method only ends a word. */
  matches(event: KeyboardEvent): boolean {
    const isMod = event.metaKey || event.ctrlKey;
    return event.key === 'Enter' && !event.shiftKey && !event.isComposing && (!this.#withMod || isMod);
  }
}

export const sendKey = new SendKey();

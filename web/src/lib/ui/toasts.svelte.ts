import type { Tone } from './types';

export interface ToastOptions {
  title: string;
  detail?: string | null | undefined;
  tone?: Tone;
  /** A button; `undo` is one with the label Undo. */
  action?: { label: string; onselect: () => void } | undefined;
  undo?: (() => void) | undefined;
  /** Its subject. */
  href?: string | undefined;
  hrefLabel?: string | undefined;
}

export interface Toast extends ToastOptions {
  id: number;
  tone: Tone;
}

const SHOWN_MS = 5000;
/** With a button, there is time to reach it. */
const SHOWN_WITH_ACTION_MS = 8000;
const MOST = 4;

/** Short messages about what the user just did. Failures stay until they are dismissed. */
class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;
  #timers = new Map<number, ReturnType<typeof setTimeout>>();
  #held = false;

  add(options: ToastOptions): number {
    const { undo } = options;
    const action = undo ? { label: 'Undo', onselect: undo } : options.action;
    const toast: Toast = { ...options, action, tone: options.tone ?? 'neutral', id: this.#next++ };
    this.list.push(toast);
    for (const old of this.list.slice(0, -MOST)) this.dismiss(old.id);
    this.#start(toast);
    return toast.id;
  }

  /** What a failed action says: its title, its cause and its advice. */
  problem(problem: { title: string; detail: string; advice?: string | null | undefined }): number {
    const detail = [problem.detail, problem.advice].filter(Boolean).join(' ');
    return this.add({ title: problem.title, detail, tone: 'bad' });
  }

  dismiss(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  /** While the pointer or the focus is on them, none disappears. */
  hold(): void {
    this.#held = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  release(): void {
    this.#held = false;
    for (const toast of this.list) this.#start(toast);
  }

  #start(toast: Toast): void {
    if (this.#held || toast.tone === 'bad' || this.#timers.has(toast.id)) return;
    const time = toast.action ? SHOWN_WITH_ACTION_MS : SHOWN_MS;
    this.#timers.set(
      toast.id,
      setTimeout(() => this.dismiss(toast.id), time),
    );
  }
}

export const toasts = new Toasts();

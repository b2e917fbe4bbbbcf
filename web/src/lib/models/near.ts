// Whether an element is on the screen or close to it.

import type { Attachment } from 'svelte/attachments';

/** Calls `onnear` the first time that the element is close to the screen. */
export function whenNear(onnear: () => void): Attachment<HTMLElement> {
  return (element) => {
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        onnear();
      },
      { rootMargin: '25% 0%' },
    );
    observer.observe(element);
    return () => observer.disconnect();
  };
}

/** As `whenNear` for the many elements of a list that scrolls by itself: one observer for all of them. */
export class NearList {
  readonly #waiting = new WeakMap<Element, () => void>();
  readonly #elements = new Set<Element>();
  #observer: IntersectionObserver | null = null;

  /** The element that scrolls. Nothing is near without it. */
  readonly scroller: Attachment<HTMLElement> = (root) => {
    const observer = new IntersectionObserver((entries) => this.#changed(entries), { root, rootMargin: '100% 0%' });
    for (const element of this.#elements) observer.observe(element);
    this.#observer = observer;
    return () => observer.disconnect();
  };

  /** Calls `onnear` the first time that the element is on the screen, or at most another screen away. */
  when(onnear: () => void): Attachment<HTMLElement> {
    return (element) => {
      this.#waiting.set(element, onnear);
      this.#elements.add(element);
      this.#observer?.observe(element);
      return () => this.#forget(element);
    };
  }

  #changed(entries: readonly IntersectionObserverEntry[]): void {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      const onnear = this.#waiting.get(target);
      this.#forget(target);
      onnear?.();
    }
  }

  #forget(element: Element): void {
    this.#observer?.unobserve(element);
    this.#elements.delete(element);
    this.#waiting.delete(element);
  }
}

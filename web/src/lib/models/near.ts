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

// Rows that have the focus open with Enter; controls inside them keep their own keys.

import type { Attachment } from 'svelte/attachments';

export function openOnEnter(open: () => void): Attachment<HTMLElement> {
  return (element) => {
    const onkeydown = (event: KeyboardEvent) => {
      if (event.key !== 'Enter' || event.target !== element) return;
      event.preventDefault();
      open();
    };
    element.addEventListener('keydown', onkeydown);
    return () => element.removeEventListener('keydown', onkeydown);
  };
}

// Asks for the ghost while the pointer or the focus is on an element.
import { on } from 'svelte/events';
import type { Attachment } from 'svelte/attachments';
import type { PoolPlanRequest } from '$lib/api';
import { pool } from '$lib/pool/store.svelte';

/**
 * Previews a start in the memory strip: `{@attach previews({ model: name })}` or `previews({ profile: name })`. With `null`, the
 * element previews nothing. A form that previews as long as it is open calls `pool.preview` itself.
 */
export function previews(request: PoolPlanRequest | null): Attachment<HTMLElement> {
  return (element) => {
    if (request === null) return;
    let shown = false;
    const show = () => {
      shown = true;
      pool.preview(request);
    };
    const hide = () => {
      if (!shown) return;
      shown = false;
      pool.preview(null);
    };
    const leave = (event: FocusEvent) => {
      if (!(event.relatedTarget instanceof Node && element.contains(event.relatedTarget))) hide();
    };
    // Svelte's `on`: an element that is removed while it has the focus loses it in the middle of an update, where a listener of the
    // browser may not change any state.
    const listeners = [
      on(element, 'pointerenter', show),
      on(element, 'pointerleave', hide),
      on(element, 'focusin', show),
      on(element, 'focusout', leave),
    ];
    return () => {
      for (const remove of listeners) remove();
      hide();
    };
  };
}

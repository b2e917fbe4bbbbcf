import type { Attachment } from 'svelte/attachments';
import { placeLayer, type Side } from './floating';
import { isApple, shownKeys } from './keys';
import { keyClass, layerClass } from './styles';

export interface TooltipOptions {
  text: string;
  keys?: string | undefined;
  side?: Side | undefined;
}

const DELAY_MS = 400;
/** After one was shown, the next one needs no delay. */
const WARM_MS = 300;

/** One element for all tooltips: a page has hundreds of buttons. */
let layer: HTMLElement | null = null;
let shownFor: Element | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let hiddenAt = 0;

/** A label of an element while the pointer rests on it or it has the keyboard's focus. `options` are read when it is shown. */
export function tooltip(options: () => TooltipOptions): Attachment {
  return (element) => {
    const showSoon = (event: Event) => {
      if (event instanceof PointerEvent && event.pointerType === 'touch') return;
      clearTimeout(timer);
      timer = setTimeout(() => show(element, options()), performance.now() - hiddenAt < WARM_MS ? 0 : DELAY_MS);
    };
    const showFocused = () => {
      // Not now: the focus often comes back from a popover that is being closed, and another one cannot be opened meanwhile.
      clearTimeout(timer);
      timer = setTimeout(() => element.matches(':focus-visible') && show(element, options()));
    };
    const leave = () => hide(element);
    const escape = (event: Event) => {
      if (event instanceof KeyboardEvent && event.key === 'Escape') hide(element);
    };
    const listeners: [string, (event: Event) => void][] = [
      ['pointerenter', showSoon],
      ['pointerleave', leave],
      ['pointerdown', leave],
      ['focus', showFocused],
      ['blur', leave],
      ['keydown', escape],
    ];
    for (const [name, listener] of listeners) element.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of listeners) element.removeEventListener(name, listener);
      hide(element);
    };
  };
}

function show(element: Element, { text, keys, side = 'bottom' }: TooltipOptions): void {
  clearTimeout(timer);
  if (!element.isConnected || text === '') return;
  if (shownFor && shownFor !== element) hide(shownFor);
  const tip = theLayer();
  tip.replaceChildren(document.createTextNode(text), ...keyElements(keys));
  tip.showPopover();
  placeLayer(element, tip, { side, align: 'center', gap: 6 });
  // What has the text as its name already needs no description.
  if (element.getAttribute('aria-label') !== text) element.setAttribute('aria-describedby', tip.id);
  shownFor = element;
  window.addEventListener('scroll', hideShown, { capture: true, passive: true });
}

function hide(element: Element): void {
  clearTimeout(timer);
  if (shownFor !== element) return;
  if (layer && element.getAttribute('aria-describedby') === layer.id) element.removeAttribute('aria-describedby');
  layer?.hidePopover();
  shownFor = null;
  hiddenAt = performance.now();
  window.removeEventListener('scroll', hideShown, { capture: true });
}

function hideShown(): void {
  if (shownFor) hide(shownFor);
}

function theLayer(): HTMLElement {
  if (!layer) {
    layer = document.createElement('div');
    layer.id = 'tooltip';
    layer.role = 'tooltip';
    layer.popover = 'manual';
    layer.className = `${layerClass} pointer-events-none max-w-80 px-2 py-1 text-meta`;
  }
  if (!layer.isConnected) document.body.append(layer);
  return layer;
}

function keyElements(keys: string | undefined): Node[] {
  if (keys === undefined) return [];
  const onApple = isApple();
  return shownKeys(keys, onApple).map((press) => {
    const key = document.createElement('kbd');
    key.className = `${keyClass} ml-2 text-label text-ink-3`;
    key.textContent = press.join(onApple ? '' : '+');
    return key;
  });
}

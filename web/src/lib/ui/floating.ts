/** Places layers next to what opened them. The layers are popovers, so that the browser shows them above everything else. */

export type Side = 'top' | 'right' | 'bottom' | 'left';
export type Align = 'start' | 'center' | 'end';

export interface Placement {
  side: Side;
  align: Align;
  /** The distance to the anchor, in px. */
  gap: number;
}

interface Size {
  width: number;
  height: number;
}
interface Box extends Size {
  left: number;
  top: number;
}

/** The distance to the edges of the window. */
const MARGIN = 8;

/** Where a layer goes: on its side if there is space, else on the opposite one, and always inside the window. */
export function position(
  anchor: Box,
  layer: Size,
  viewport: Size,
  { side, align, gap }: Placement,
): { left: number; top: number } {
  const space = {
    top: anchor.top,
    bottom: viewport.height - anchor.top - anchor.height,
    left: anchor.left,
    right: viewport.width - anchor.left - anchor.width,
  };
  const opposite = { top: 'bottom', bottom: 'top', left: 'right', right: 'left' } as const;
  const isVertical = side === 'top' || side === 'bottom';
  const needed = (isVertical ? layer.height : layer.width) + gap + MARGIN;
  const chosen = space[side] < needed && space[opposite[side]] > space[side] ? opposite[side] : side;

  const along = (start: number, length: number, own: number) =>
    align === 'start' ? start : align === 'end' ? start + length - own : start + (length - own) / 2;
  const left = isVertical
    ? along(anchor.left, anchor.width, layer.width)
    : chosen === 'left'
      ? anchor.left - layer.width - gap
      : anchor.left + anchor.width + gap;
  const top = isVertical
    ? chosen === 'top'
      ? anchor.top - layer.height - gap
      : anchor.top + anchor.height + gap
    : along(anchor.top, anchor.height, layer.height);
  return {
    left: clamp(left, MARGIN, viewport.width - layer.width - MARGIN),
    top: clamp(top, MARGIN, viewport.height - layer.height - MARGIN),
  };
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}

/** Places `layer` next to `anchor` now. */
export function placeLayer(anchor: Element, layer: HTMLElement, placement: Placement): void {
  const viewport = { width: document.documentElement.clientWidth, height: window.innerHeight };
  const { left, top } = position(anchor.getBoundingClientRect(), layer.getBoundingClientRect(), viewport, placement);
  layer.style.left = `${Math.round(left)}px`;
  layer.style.top = `${Math.round(top)}px`;
}

/** Keeps `layer` next to `anchor` while the page scrolls and the layer changes its size. Returns how to stop. */
export function followAnchor(anchor: Element, layer: HTMLElement, placement: Placement): () => void {
  const update = () => placeLayer(anchor, layer, placement);
  update();
  const observer = new ResizeObserver(update);
  observer.observe(layer);
  observer.observe(anchor);
  window.addEventListener('scroll', update, { capture: true, passive: true });
  window.addEventListener('resize', update);
  return () => {
    observer.disconnect();
    window.removeEventListener('scroll', update, { capture: true });
    window.removeEventListener('resize', update);
  };
}

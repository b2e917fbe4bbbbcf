// Panels next to the thread. Which one is open is in the address. No Svelte inside.
import { read, write } from '$lib/shell/storage';

export type Panel = 'request' | 'log' | 'metrics' | 'preview';

/** Their titles, in the order of their buttons. */
export const PANELS: Readonly<Record<Panel, string>> = {
  request: 'Request',
  log: 'Log',
  metrics: 'Metrics',
  preview: 'Preview',
};

export const PANEL_PX = { min: 320, max: 560, standard: 400 };
const WIDTH_KEY = 'chat-panel';

/** The panel of the address; null if none is open. */
export function panelOf(value: string | null): Panel | null {
  return value !== null && Object.hasOwn(PANELS, value) ? (value as Panel) : null;
}

/** The width that was chosen in this browser. */
export function readWidth(): number {
  const width = Number(read(WIDTH_KEY) ?? PANEL_PX.standard);
  return Number.isFinite(width) ? Math.min(PANEL_PX.max, Math.max(PANEL_PX.min, width)) : PANEL_PX.standard;
}

export function writeWidth(width: number): void {
  write(WIDTH_KEY, width === PANEL_PX.standard ? null : String(width));
}

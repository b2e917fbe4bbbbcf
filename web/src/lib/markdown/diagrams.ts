// Diagrams of Mermaid as SVG. Mermaid runs in a frame with an origin of its own, which is loaded with the first diagram: it interprets
// text that a model wrote, and is not trusted with this page.

import { FRAME, openPort, type FrameRequest, type FrameResponse } from './preview';

export type Drawing = { svg: string } | { problem: string };

/** A diagram that takes longer is not drawn. */
const DEADLINE_MS = 20_000;

/** Drawings that are kept, so that a conversation that is opened again has them at once. */
const MAX_KEPT = 100;

const TOO_SLOW = 'It takes too long to draw this diagram.';
const NOT_LOADED = 'The program that draws diagrams could not be loaded. Check that the gateway is running.';

interface Drawer {
  frame: HTMLIFrameElement;
  port: MessagePort;
}

let drawer: Promise<Drawer> | null = null;
let nextId = 0;
const pending = new Map<number, (drawing: Drawing) => void>();
const kept = new Map<string, Promise<Drawing>>();

/** Draws a diagram. It never rejects. */
export function drawDiagram(text: string, isDark: boolean): Promise<Drawing> {
  const key = `${isDark ? 'dark' : 'light'}\n${text}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  const drawing = draw(text, isDark);
  kept.set(key, drawing);
  const [oldest] = kept.keys();
  if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest);
  // It may be possible the next time.
  void drawing.then((result) => {
    if ('problem' in result && [TOO_SLOW, NOT_LOADED].includes(result.problem)) kept.delete(key);
  });
  return drawing;
}

async function draw(text: string, isDark: boolean): Promise<Drawing> {
  try {
    drawer ??= start();
    const { port } = await drawer;
    return await new Promise<Drawing>((resolve) => {
      const id = nextId++;
      const timer = setTimeout(stop, DEADLINE_MS);
      pending.set(id, (drawing) => {
        clearTimeout(timer);
        pending.delete(id);
        resolve(drawing);
      });
      port.postMessage({ type: 'draw', id, text, isDark } satisfies FrameRequest);
    });
  } catch {
    drawer = null;
    return { problem: NOT_LOADED };
  }
}

async function start(): Promise<Drawer> {
  const { default: code } = await import('mermaid/dist/mermaid.min.js?raw');
  const frame = document.createElement('iframe');
  frame.sandbox.add('allow-scripts');
  frame.src = FRAME;
  frame.title = 'Diagrams';
  frame.tabIndex = -1;
  frame.ariaHidden = 'true';
  // Layout needs a size, and browsers suspend frames outside of the window.
  Object.assign(frame.style, {
    position: 'fixed',
    inset: '0',
    width: '100%',
    height: '100%',
    border: '0',
    opacity: '0',
    zIndex: '-1',
    pointerEvents: 'none',
  });
  const loaded = new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
  document.body.append(frame);
  await loaded;
  const port = openPort(frame, receive);
  port.postMessage({ type: 'load', code } satisfies FrameRequest);
  return { frame, port };
}

function receive(response: FrameResponse): void {
  if (response.type === 'drawn') pending.get(response.id)?.({ svg: response.svg });
  if (response.type === 'failed') pending.get(response.id)?.({ problem: response.message });
}

/** Ends a frame that does not respond. The next diagram gets another one. */
function stop(): void {
  void drawer?.then(({ frame, port }) => {
    port.close();
    frame.remove();
  });
  drawer = null;
  for (const finish of [...pending.values()]) finish({ problem: TOO_SLOW });
}

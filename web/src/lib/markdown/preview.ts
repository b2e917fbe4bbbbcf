// What the page and the document of previews send each other. The document has an origin of its own, so they share nothing else:
// static/preview/frame.html is its other side.

/** `diagram`: SVG that this page has drawn. `svg`, `html`: as a model wrote it. */
export type PreviewKind = 'diagram' | 'svg' | 'html';

export type FrameRequest =
  | { type: 'show'; kind: PreviewKind; text: string; isDark: boolean }
  /** A script that draws diagrams. */
  | { type: 'load'; code: string }
  | { type: 'draw'; id: number; text: string; isDark: boolean };

export type FrameResponse =
  | { type: 'size'; height: number }
  | { type: 'drawn'; id: number; svg: string }
  | { type: 'failed'; id: number; message: string };

/** The address of the document. */
export const FRAME = '/preview/frame';

/** A port to the document in a frame, after each load of the frame. */
export function openPort(frame: HTMLIFrameElement, receive: (response: FrameResponse) => void): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = (event: MessageEvent<FrameResponse>) => receive(event.data);
  // Its origin is opaque, so it cannot be named. `frame-src` and `frame-ancestors` allow no other document there.
  frame.contentWindow?.postMessage('connect', '*', [port2]);
  return port1;
}

/** What a block of code can be shown as. */
export function previewOf(language: string | null, text: string): PreviewKind | null {
  const name = language?.toLowerCase() ?? '';
  if (name === 'mermaid') return 'diagram';
  const isSvg = /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[\s\S]*?-->\s*)*<svg[\s>]/i.test(text);
  if (isSvg && ['svg', 'xml', 'html'].includes(name)) return 'svg';
  return name === 'html' ? 'html' : null;
}

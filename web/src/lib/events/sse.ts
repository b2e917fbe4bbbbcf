/** Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html defines them. */

/** A frame: what stands between two empty lines. */
export interface Frame {
  /** The id of the frame itself, if it has one. Unlike in browsers, it is not kept for later frames. */
  id: string | null;
  /** Null if the frame has no data. */
  data: string | null;
}

/** Splits a stream into frames, in whatever pieces it arrives. Comments and other fields are left out. */
export class SseParser {
  #rest = '';
  #endedWithCr = false;
  #id: string | null = null;
  #data: string[] = [];

  /** The frames that a piece of text completes. */
  push(text: string): Frame[] {
    if (text === '') return [];
    // A line break in two pieces.
    if (this.#endedWithCr && text.startsWith('\n')) text = text.slice(1);
    this.#endedWithCr = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? '';
    const frames: Frame[] = [];
    for (const line of lines) {
      const frame = this.#line(line);
      if (frame !== null) frames.push(frame);
    }
    return frames;
  }

  #line(line: string): Frame | null {
    if (line === '') {
      const frame: Frame = { id: this.#id, data: this.#data.length === 0 ? null : this.#data.join('\n') };
      this.#id = null;
      this.#data = [];
      return frame.id === null && frame.data === null ? null : frame;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    if (field === 'id' && !value.includes('\0')) this.#id = value;
    return null;
  }
}

/** An id of an event: which start of the gateway, and the number of the event since then. */
export interface EventId {
  epoch: string;
  number: number;
}

/** Reads `EPOCH-NUMBER`; null for other text. */
export function parseEventId(text: string): EventId | null {
  const match = /^([0-9a-f]+)-([0-9]+)$/.exec(text);
  if (match === null) return null;
  const [, epoch = '', number = ''] = match;
  return { epoch, number: Number(number) };
}

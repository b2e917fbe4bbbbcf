// Files that can be attached: text and code, and images. No Svelte inside.

export type FileKind = 'text' | 'image';

/** What was chosen, pasted or dropped. */
export interface Candidate {
  name: string;
  /** As the browser says it; often empty, and wrong for code. */
  type: string;
  /** Its first bytes. */
  head: Uint8Array;
}

const IMAGES = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif']);

/** Bytes that are looked at to tell text from other content. */
export const HEAD_BYTES = 8_192;
/** Longest side of an image as it is sent: models see no more. */
export const MAX_IMAGE_SIDE = 2_048;

/** What a file is; null for what no model reads. */
export function kindOf({ type, head }: Candidate): FileKind | null {
  if (IMAGES.has(type)) return 'image';
  return isText(head) ? 'text' : null;
}

/** Why a file is not attached. */
export function declinedText({ name, type }: Candidate): string {
  if (type.startsWith('image/')) return `${name} is an image of a type that is not read. Use PNG, JPEG, WebP or GIF.`;
  if (type === 'application/pdf')
    return `${name} is a PDF. Copy its text into the message, or attach it as a text file.`;
  if (/^(audio|video)\//.test(type)) return `${name} is audio or video. Only text and images can be attached.`;
  return `${name} is neither text nor an image.`;
}

/** The size of an image as it is sent. */
export function scaled(width: number, height: number, most = MAX_IMAGE_SIDE): { width: number; height: number } {
  const factor = Math.min(1, most / Math.max(width, height, 1));
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}

/** A name for something that was pasted. */
export function pastedName(type: string, count: number): string {
  const ending = IMAGES.has(type) ? type.slice('image/'.length).replace('jpeg', 'jpg') : 'txt';
  return `pasted-${count}.${ending}`;
}

/** UTF-8 without control characters. The last character may be cut off. */
function isText(head: Uint8Array): boolean {
  if (head.some((byte) => byte < 9 || (byte > 13 && byte < 27) || (byte > 27 && byte < 32) || byte === 127))
    return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

// Why a file cannot be attached or sent. No Svelte inside.
import { bytes } from '$lib/format';

/** The largest file that the gateway stores. */
export const MOST_BYTES = 20 * 1024 * 1024;

/** Why a message with an image is not sent. */
export const IMAGES_UNREAD = 'No model can read images yet. Remove the image to send.';

/** Why a message is not sent of which a file is missing. */
export const NOT_STORED = 'A file was not stored. Remove it, or attach it again.';

export function tooLargeText(name: string, sizeBytes: number): string {
  return `${name} has ${bytes(sizeBytes)}, and a file can have ${bytes(MOST_BYTES)}. Attach a part of it.`;
}

/** What is dropped as a file may be a folder, or be gone. */
export function unreadableText(name: string): string {
  return `${name} cannot be read. Of a folder, attach the files in it.`;
}

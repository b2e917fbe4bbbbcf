// Parts of messages as they are sent again. No Svelte inside.
import type { NewPart, Part } from '$lib/api';

/** The files of a message, and another text. */
export function newParts(parts: readonly Part[], text: string): NewPart[] {
  const files = parts.flatMap((part): NewPart[] =>
    part.type === 'attachment' ? [{ type: 'attachment', hash: part.hash, name: part.name }] : [],
  );
  return text === '' ? files : [...files, { type: 'text', text }];
}

/** Characters of a message that count as tokens; the size stands for the text of a file. */
export function charactersOf(parts: readonly Part[]): { text: number; files: number } {
  let [text, files] = [0, 0];
  for (const part of parts) {
    if (part.type === 'text') text += part.text.length;
    else if (!part.media_type.startsWith('image/')) files += part.size_bytes;
  }
  return { text, files };
}

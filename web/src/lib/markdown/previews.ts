// What of a text can be shown as a picture or page: its complete blocks of code. No Svelte inside.
import { previewOf, type PreviewKind } from './preview';
import { parseMarkdown, type Block } from './tree';

export interface Previewed {
  kind: PreviewKind;
  text: string;
}

/** In the order of the text. */
export function previewsOf(text: string): Previewed[] {
  // Most texts have no block of code, and need not be parsed.
  return /(?:```|~~~)/.test(text) ? inBlocks(parseMarkdown(text)) : [];
}

function inBlocks(blocks: readonly Block[]): Previewed[] {
  return blocks.flatMap((block) => {
    if (block.type === 'quote') return inBlocks(block.blocks);
    if (block.type === 'list') return block.items.flatMap((item) => inBlocks(item.blocks));
    const kind = block.type === 'code' && block.closed ? previewOf(block.language, block.text) : null;
    return block.type === 'code' && kind !== null ? [{ kind, text: block.text }] : [];
  });
}

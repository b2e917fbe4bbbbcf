// Markdown that grows at its end. Only its last blocks are parsed again, and blocks that did not change stay the same objects, so that
// components of finished blocks are not rendered again.

import { parseParts, type Block, type Definition, type Part } from './tree';

/** A block at the top level of a text, or nothing that is shown. */
export interface Piece {
  /** Where it starts in the text: its key. */
  start: number;
  /** At most one. */
  blocks: Block[];
}

interface Parsed extends Piece {
  source: string;
  definition: Definition | null;
}

/**
 * The blocks of one text. Once the text is complete, they are those of `parseMarkdown`. Until then, links stay text if their targets
 * are defined at the end of the text.
 */
export class BlockStream {
  #source = '';
  #parsed: Parsed[] = [];

  /** The pieces of `text`. `grows`: text will be added to its end. */
  parse(text: string, grows: boolean): readonly Piece[] {
    const source = text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
    const kept = grows && source.startsWith(this.#source) ? this.#parsed.slice(0, this.#unfinished()) : [];
    const last = kept.at(-1);
    const start = last === undefined ? 0 : last.start + last.source.length;
    const definitions = kept.flatMap((piece) => piece.definition ?? []);
    this.#parsed = [...kept, ...this.#reuse(start, parseParts(source.slice(start), definitions))];
    this.#source = source;
    return this.#parsed;
  }

  /** Index of the first piece that text at the end may change. */
  #unfinished(): number {
    let index = this.#parsed.length;
    // The last line may be incomplete: it can become part of the block before.
    for (let blocks = 0; index > 0 && blocks < 2; index--) {
      if (this.#parsed[index - 1]?.source.trim() !== '') blocks++;
    }
    // A formula that is not closed yet may be several blocks, but has no empty lines.
    while (index > 0 && !/(?:^|\n)[ \t]*\n$/.test(this.#parsed[index - 1]?.source ?? '')) index--;
    return index;
  }

  /** The parts that start at `start`, with the blocks that are there already. */
  #reuse(start: number, parts: Part[]): Parsed[] {
    const known = new Map(this.#parsed.map((piece) => [piece.start, piece]));
    let at = start;
    return parts.map(({ source, block, definition }) => {
      const found = known.get(at);
      const fresh = { start: at, source, blocks: block === null ? [] : [block], definition };
      at += source.length;
      return found?.source === source && isEqual(found.blocks, fresh.blocks) ? found : fresh;
    });
  }
}

/** Equal sources can be different blocks: links depend on definitions elsewhere. */
function isEqual(one: Block[], other: Block[]): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

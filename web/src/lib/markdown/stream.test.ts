import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlockStream, type Piece } from './stream';
import { parseMarkdown, type Block } from './tree';

const DOCUMENT = `# Title

A paragraph with **bold**, \`code\` and a [link](https://a.example/b),
on two lines.

Setext
======

- one
- two
  - nested

  more of two

1. first
2. second

> quote
lazy line

| a | b |
|---|--:|
| 1 | 2 |

\`\`\`py
def f(x):

    return x
\`\`\`

$$
\\int_0^1 x^2 \\, dx
- y
$$

    indented

<div>
raw
</div>

---
The end, with $x^2$.
`;

function blocksOf(pieces: readonly Piece[]): Block[] {
  return pieces.flatMap(({ blocks }) => blocks);
}

test('at every character, the blocks are those of the text so far', () => {
  const stream = new BlockStream();
  for (let end = 1; end <= DOCUMENT.length; end++) {
    const text = DOCUMENT.slice(0, end);
    expect(blocksOf(stream.parse(text, true)), JSON.stringify(text.slice(-40))).toEqual(parseMarkdown(text));
  }
  expect(blocksOf(stream.parse(DOCUMENT, false))).toEqual(parseMarkdown(DOCUMENT));
});

test('a block that is followed by two others is the same object from then on', () => {
  const stream = new BlockStream();
  let before = stream.parse('', true);
  for (let end = 1; end <= DOCUMENT.length; end++) {
    const pieces = stream.parse(DOCUMENT.slice(0, end), true);
    const shown = before.filter(({ blocks }) => blocks.length > 0);
    for (const piece of shown.slice(0, -2)) expect(pieces).toContain(piece);
    before = pieces;
  }
  // The end of the stream renders nothing again.
  expect(stream.parse(DOCUMENT, false).every((piece, index) => piece === before[index])).toBe(true);
});

test('keys are unique, and the keys of blocks do not change while text is added', () => {
  const stream = new BlockStream();
  const paragraphs = Array.from({ length: 50 }, (_, index) => `Paragraph ${index}.`);
  const keys: number[] = [];
  for (const [index] of paragraphs.entries()) {
    const pieces = stream.parse(paragraphs.slice(0, index + 1).join('\n\n'), true);
    const starts = pieces.filter(({ blocks }) => blocks.length > 0).map(({ start }) => start);
    expect(starts.slice(0, -1)).toEqual(keys);
    keys.push(starts.at(-1) ?? -1);
  }
  expect(new Set(keys).size).toBe(paragraphs.length);
});

test('links get targets that are defined later once the text is complete', () => {
  const stream = new BlockStream();
  const start = '[docs][d]\n\none\n\ntwo\n\nthree\n\n';
  const text = `${start}[d]: https://a.example/\n`;
  stream.parse(start, true);
  const [paragraph] = blocksOf(stream.parse(text, true));
  expect(paragraph).toMatchObject({ children: [{ type: 'text' }] });
  const complete = stream.parse(text, false);
  expect(blocksOf(complete)[0]).toMatchObject({ children: [{ type: 'link', href: 'https://a.example/' }] });
});

test('definitions before the end of the text are known to what follows', () => {
  const stream = new BlockStream();
  const start = '[d]: https://a.example/\n\none\n\ntwo\n\nthree\n\n';
  stream.parse(start, true);
  const last = blocksOf(stream.parse(`${start}[docs][d]`, true)).at(-1);
  expect(last).toMatchObject({ children: [{ type: 'link', href: 'https://a.example/' }] });
});

test('another text replaces the first', () => {
  const stream = new BlockStream();
  stream.parse('# One\n\ntwo', true);
  expect(blocksOf(stream.parse('three', true))).toEqual(parseMarkdown('three'));
  expect(blocksOf(stream.parse('', true))).toEqual([]);
});

test('however a text is split, its blocks are those of the complete text', () => {
  const line = fc.constantFrom(
    '# a',
    'text',
    '- item',
    '2. item',
    '> quote',
    '```',
    '~~~js',
    '$$',
    '\\[x^2',
    '\\]',
    '',
    '  ',
    '    code',
    '|a|b|',
    '|-|-|',
    '---',
    '===',
    '<div>',
    '<!--',
    '-->',
    '[a]: https://b.example',
    '[a] $x$',
    '\r',
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), fc.array(fc.nat(200), { maxLength: 10 }), (lines, cuts) => {
      const text = lines.join('\n');
      const stream = new BlockStream();
      for (const cut of cuts.sort((a, b) => a - b)) stream.parse(text.slice(0, cut), true);
      expect(blocksOf(stream.parse(text, false))).toEqual(parseMarkdown(text));
    }),
  );
});

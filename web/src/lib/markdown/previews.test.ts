import { expect, it } from 'vitest';

import { previewsOf } from './previews';

const block = (language: string, text: string): string => `\`\`\`${language}\n${text}\n\`\`\``;

it('finds diagrams, SVG and HTML, also in lists and quotes', () => {
  const text = [
    'Text',
    block('mermaid', 'graph TD; a-->b'),
    `- item\n\n  ${block('svg', '<svg></svg>').replaceAll('\n', '\n  ')}`,
    `> ${block('html', '<p>a</p>').replaceAll('\n', '\n> ')}`,
    block('js', 'a()'),
  ].join('\n\n');
  expect(previewsOf(text)).toEqual([
    { kind: 'diagram', text: 'graph TD; a-->b' },
    { kind: 'svg', text: '<svg></svg>' },
    { kind: 'html', text: '<p>a</p>' },
  ]);
});

it('leaves out a block that is still being written, and text without one', () => {
  expect(previewsOf('```html\n<p>a')).toEqual([]);
  expect(previewsOf('<svg></svg>')).toEqual([]);
});

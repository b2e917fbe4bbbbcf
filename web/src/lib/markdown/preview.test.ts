import { expect, test } from 'vitest';
import { previewOf } from './preview';

test.each([
  ['mermaid', 'graph TD; a-->b', 'diagram'],
  ['Mermaid', 'graph TD; a-->b', 'diagram'],
  ['svg', '<svg viewBox="0 0 1 1"></svg>', 'svg'],
  ['xml', '<?xml version="1.0"?>\n<!-- a -->\n<svg></svg>', 'svg'],
  ['html', '<svg></svg>', 'svg'],
  ['html', '<!doctype html><p>a</p>', 'html'],
  ['svg', 'no markup', null],
  ['xml', '<feed></feed>', null],
  ['js', '<svg></svg>', null],
  [null, '<svg></svg>', null],
])('code of the language %s is previewed by what it is', (language, text, expected) => {
  expect(previewOf(language, text)).toBe(expected);
});

import fc from 'fast-check';
import hljs from 'highlight.js/lib/common';
import { expect, test } from 'vitest';
import { readSpans, styleOf } from './spans';

function highlighted(code: string, language: string) {
  return readSpans(hljs.highlight(code, { language, ignoreIllegals: true }).value);
}

test('spans have the innermost scope', () => {
  expect(readSpans('a <span class="hljs-string">&quot;<span class="hljs-subst">x</span>&lt;&quot;</span>')).toEqual([
    { scope: null, text: 'a ' },
    { scope: 'string', text: '"' },
    { scope: 'subst', text: 'x' },
    { scope: 'string', text: '<"' },
  ]);
});

test('code gets scopes that have styles', () => {
  const spans = highlighted('def f(x):\n    return "a"  # note', 'python');
  const scopes = new Map(spans.map(({ scope, text }) => [text.trim(), scope]));
  expect(scopes.get('def')).toBe('keyword');
  expect(scopes.get('f')).toBe('title');
  expect(scopes.get('"a"')).toBe('string');
  expect(scopes.get('# note')).toBe('comment');
  for (const scope of ['keyword', 'title', 'string', 'comment']) expect(styleOf(scope), scope).toBeDefined();
});

test('the texts of the spans are the code', () => {
  const part = fc.constantFrom(
    '<',
    '>',
    '&',
    '"',
    "'",
    '&amp;',
    '</span>',
    '<style>',
    '{',
    '}',
    '/*',
    '//',
    '\n',
    'let x',
    '`${',
    '}`',
  );
  fc.assert(
    fc.property(fc.array(part), fc.constantFrom('javascript', 'xml', 'css', 'python', 'rust'), (parts, language) => {
      const code = parts.join('');
      expect(
        highlighted(code, language)
          .map(({ text }) => text)
          .join(''),
      ).toBe(code);
    }),
  );
});

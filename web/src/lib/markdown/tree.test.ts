import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseMarkdown, plainText, safeHref, withoutFrontMatter, type Block, type Inline } from './tree';

function only(text: string): Block {
  const [block, ...others] = parseMarkdown(text);
  expect(others).toEqual([]);
  if (!block) throw new Error('no block');
  return block;
}

function children(text: string): Inline[] {
  const block = only(text);
  if (block.type !== 'paragraph') throw new Error(block.type);
  return block.children;
}

test('inline styles are a tree', () => {
  expect(children('a **b _c_** ~~d~~ `e<f>` \\* &amp;')).toEqual([
    { type: 'text', text: 'a ' },
    {
      type: 'strong',
      children: [
        { type: 'text', text: 'b ' },
        { type: 'emphasis', children: [{ type: 'text', text: 'c' }] },
      ],
    },
    { type: 'text', text: ' ' },
    { type: 'deleted', children: [{ type: 'text', text: 'd' }] },
    { type: 'text', text: ' ' },
    { type: 'code', text: 'e<f>' },
    { type: 'text', text: ' ' },
    { type: 'text', text: '*' },
    { type: 'text', text: ' &' },
  ]);
});

test('HTML stays text', () => {
  expect(plainText(children('x <img src=x onerror=alert(1)> <b>y</b>'))).toBe(
    'x <img src=x onerror=alert(1)> <b>y</b>',
  );
  expect(only('<script>\nalert(1)\n</script>')).toEqual({ type: 'html', text: '<script>\nalert(1)\n</script>' });
  expect(parseMarkdown('<!-- note -->\n\ntext')).toHaveLength(1);
  expect(children('a<br/>b')[1]).toEqual({ type: 'break' });
});

test('only links to pages and mail are links', () => {
  const targets = [
    'javascript:alert(1)',
    'JAVASCRIPT:alert(1)',
    'java&#115;cript:alert(1)',
    ' javascript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    '//evil.example',
    '/settings',
    'LICENSE',
    '#top',
    'https://',
  ];
  for (const href of targets) expect(safeHref(href), href).toBeNull();
  expect(safeHref('https://a.example/b?c=d')).toBe('https://a.example/b?c=d');
  expect(safeHref('mailto:a@b.example')).toBe('mailto:a@b.example');
  expect(children('[a](javascript:alert(1)) [b](https://c.example)')).toMatchObject([
    { type: 'text', text: 'a' },
    { type: 'text' },
    { type: 'link', href: 'https://c.example/' },
  ]);
});

test('images are their description, as nothing is loaded from other places', () => {
  expect(children('![a chart](https://a.example/b.png)')).toEqual([{ type: 'image', text: 'a chart' }]);
});

test('lists have their start, tasks and paragraphs', () => {
  expect(only('3. a\n4. b')).toMatchObject({ type: 'list', start: 3, items: [{ checked: null }, { checked: null }] });
  expect(only('- [x] a\n- [ ] b\n- c')).toMatchObject({
    start: null,
    items: [{ checked: true }, { checked: false }, { checked: null }],
  });
  expect(only('- a\n\n  b')).toMatchObject({ items: [{ blocks: [{ type: 'paragraph' }, { type: 'paragraph' }] }] });
});

test('tables have aligned cells', () => {
  expect(only('|a|b|\n|-|-:|\n|1|`2`|')).toEqual({
    type: 'table',
    header: [
      { align: 'start', children: [{ type: 'text', text: 'a' }] },
      { align: 'end', children: [{ type: 'text', text: 'b' }] },
    ],
    rows: [
      [
        { align: 'start', children: [{ type: 'text', text: '1' }] },
        { align: 'end', children: [{ type: 'code', text: '2' }] },
      ],
    ],
  });
});

test('code keeps its text, and the first word of its language', () => {
  expect(only('```py title="x"\n<b>\n```')).toEqual({ type: 'code', language: 'py', text: '<b>', closed: true });
  expect(only('    a')).toEqual({ type: 'code', language: null, text: 'a', closed: true });
});

test('code is closed by a fence', () => {
  for (const text of ['```', '```py', '```py\n', '```py\nx', '~~~\n``']) {
    expect(only(text), text).toMatchObject({ type: 'code', closed: false });
  }
  for (const text of ['```\n```', '```py\nx\n```\n', '~~~\nx\n~~~~ ']) {
    expect(only(text), text).toMatchObject({ type: 'code', closed: true });
  }
});

test('formulas are inline or blocks', () => {
  expect(children('so $x_1*y*z$ and \\(a_b\\), $$c$$')).toEqual([
    { type: 'text', text: 'so ' },
    { type: 'math', text: 'x_1*y*z', display: false },
    { type: 'text', text: ' and ' },
    { type: 'math', text: 'a_b', display: false },
    { type: 'text', text: ', ' },
    { type: 'math', text: 'c', display: true },
  ]);
  expect(only('$$\n\\int_0^1 x\n- y\n$$')).toEqual({ type: 'math', text: '\\int_0^1 x\n- y' });
  expect(only('\\[ x^2 \\]')).toEqual({ type: 'math', text: 'x^2' });
  expect(parseMarkdown('text\n$$\nx\n$$\nmore').map(({ type }) => type)).toEqual(['paragraph', 'math', 'paragraph']);
  expect(only('- a\n  $$x$$')).toMatchObject({
    items: [{ blocks: [{ type: 'paragraph' }, { type: 'math', text: 'x' }] }],
  });
});

test('prices, variables of shells and escaped brackets are no formulas', () => {
  const texts = [
    'costs $5 and $10',
    'between $5/$6',
    'US$5 or US$6',
    '$HOME and $PATH',
    '$HOME/$USER',
    'a \\$x\\$',
    '`$x$`',
    '$ x $',
    '$$',
    '$$ not closed',
    '\\[optional\\]',
    '\\[More Information Needed\\]',
    '\\(see below\\)',
    '$$\nx\n\ny\n$$',
  ];
  for (const text of texts) expect(JSON.stringify(parseMarkdown(text)), text).not.toContain('"type":"math"');
});

test('metadata at the beginning is left out', () => {
  expect(withoutFrontMatter('---\nlicense: mit\ntags: [mlx]\n---\n# Title')).toBe('# Title');
  expect(withoutFrontMatter('# Title\n---\nx\n---\n')).toBe('# Title\n---\nx\n---\n');
  expect(withoutFrontMatter('---\nnever closed')).toBe('---\nnever closed');
});

test('delimiters without an end do not take long', () => {
  for (const part of ['$', '$$', '\\(', '\\[', '$a ', '\n$$', '\n\\[x^', '$x`']) {
    const start = performance.now();
    parseMarkdown(part.repeat(20_000));
    // Far longer than it takes; a search that is quadratic needs minutes.
    expect(performance.now() - start, part).toBeLessThan(20_000);
  }
});

test('deep nesting ends as text', () => {
  const text = `${'>'.repeat(20_000)} a`;
  expect(JSON.stringify(parseMarkdown(text)).length).toBeGreaterThan(0);
  expect(() => parseMarkdown('['.repeat(5_000))).not.toThrow();
});

test('any text can be parsed, and has no link with another scheme', () => {
  const schemes = (value: unknown): string[] =>
    JSON.stringify(value)
      .match(/"href":"[a-z]+:/g)
      ?.map((match) => match.slice(8)) ?? [];
  const part = fc.constantFrom(
    '[',
    ']',
    '(',
    ')',
    '<',
    '>',
    '`',
    '*',
    '|',
    '\n',
    '- ',
    'javascript:',
    'https://a',
    '&#58;',
    '$',
    '\\',
    'x',
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
      const found = schemes(parseMarkdown(parts.join('')));
      expect(found.filter((scheme) => !['https:', 'http:', 'mailto:'].includes(scheme))).toEqual([]);
    }),
  );
});

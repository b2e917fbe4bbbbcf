import { expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, THEMES, useTheme } from '$lib/ui/testing';
import { ATTACKS, CODE_ATTACKS, MATH_ATTACKS } from './attacks';
import Markdown from './Markdown.svelte';

const EXECUTED =
  'img, script, iframe, object, embed, form, base, link, meta, style, video, audio, svg:not([aria-hidden]), ' +
  'a:not([href^="https:"], [href^="http:"], [href^="mailto:"]), math [href]';

/** Workers and modules are loaded on demand. */
function soon(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000 });
}

function expectHarmless(container: Element): void {
  expect([...container.querySelectorAll(EXECUTED)].map(({ outerHTML }) => outerHTML)).toEqual([]);
  for (const element of container.querySelectorAll('*')) {
    const names = element.getAttributeNames().filter((name) => name.startsWith('on'));
    expect(names, element.outerHTML).toEqual([]);
    expect(element.getAttribute('style') ?? '').not.toContain('url(');
  }
  expect('attacked' in window).toBe(false);
}

test.each([...ATTACKS, ...CODE_ATTACKS])('%s stays text', async (text) => {
  const { container } = await render(Markdown, { text });
  expectHarmless(container);
  expect(container.textContent.trim()).not.toBe('');
});

test.each(ATTACKS)('%s stays text while it grows', async (text) => {
  const { container, rerender } = await render(Markdown, { text: '', streaming: true });
  for (let end = 1; end < text.length + 5; end += 5) {
    await rerender({ text: text.slice(0, end) });
    expectHarmless(container);
  }
});

test.each(MATH_ATTACKS)('%s makes neither links nor markup', async (text) => {
  const { container } = await render(Markdown, { text: `$x$\n\n${text}` });
  // KaTeX is there once the first formula is.
  await soon(() => expect(container.querySelector('math')).not.toBeNull());
  expectHarmless(container);
});

test.each(THEMES)('all blocks have their element in the %s theme', async (theme) => {
  useTheme(theme);
  const text =
    '# Title\n\ntext **bold** $x^2$\n\n- [x] done\n- open\n\n> quote\n\n|a|\n|-|\n|b|\n\n```py\nx = 1  # note\n```\n\n$$\ny\n$$\n\n---';
  const { container, getByRole } = await render(Markdown, { text, level: 3 });
  await expect.element(getByRole('heading', { level: 3, name: 'Title' })).toBeVisible();
  for (const name of ['strong', 'ul', 'blockquote', 'table', 'pre', 'hr']) {
    expect(container.querySelector(name), name).not.toBeNull();
  }
  await soon(() => expect(container.querySelectorAll('math')).toHaveLength(2));
  await soon(() => expect(container.querySelector('pre span')).not.toBeNull());
  await expect.element(getByRole('columnheader', { name: 'a' })).toBeVisible();
  await expectAccessible(container);
});

test('links open elsewhere and say nothing about this page', async () => {
  const { getByRole } = await render(Markdown, { text: '[docs](https://a.example/b)' });
  const link = getByRole('link', { name: 'docs' });
  await expect.element(link).toHaveAttribute('href', 'https://a.example/b');
  await expect.element(link).toHaveAttribute('rel', 'noopener noreferrer');
});

test('text that is added changes the last blocks only', async () => {
  const paragraphs = Array.from({ length: 40 }, (_, index) => `Paragraph ${index} with **bold** text.`);
  const start = `${paragraphs.join('\n\n')}\n\n\`\`\`js\nconst a = 1;\n\`\`\`\n\nLast`;
  const { container, rerender } = await render(Markdown, { text: start, streaming: true });
  await soon(() => expect(container.querySelector('pre span')).not.toBeNull());
  const changed = new Set<Node>();
  const observer = new MutationObserver((records) => records.forEach(({ target }) => changed.add(target)));
  observer.observe(container, { subtree: true, childList: true, characterData: true, attributes: true });
  let text = start;
  for (const word of ' words that are added one by one'.split(/(?= )/)) {
    text += word;
    await rerender({ text });
  }
  await rerender({ text, streaming: false });
  await soon(() => expect(changed.size).toBeGreaterThan(0));
  observer.disconnect();
  const last = container.querySelector('p:last-of-type');
  expect(last?.textContent).toBe('Last words that are added one by one');
  expect([...changed].filter((node) => last?.contains(node) !== true)).toEqual([]);
});

test('code is colored once it is closed', async () => {
  const { container, rerender } = await render(Markdown, { text: '```js\nconst a', streaming: true });
  expect(container.querySelector('pre')?.textContent).toBe('const a');
  await rerender({ text: '```js\nconst a = 1;\n```' });
  await soon(() => expect(container.querySelector('pre span')?.textContent).toBe('const'));
  expect(container.querySelector('pre')?.textContent).toBe('const a = 1;');
});

test('formulas that are wrong are shown as their source, with the reason', async () => {
  const { container, getByTitle } = await render(Markdown, { text: '$x$ and $\\frac{1$' });
  await soon(() => expect(container.querySelectorAll('math')).toHaveLength(1));
  await expect.element(getByTitle(/KaTeX parse error/)).toHaveTextContent('\\frac{1');
});

test('formulas can be copied as LaTeX', async () => {
  const { container } = await render(Markdown, { text: '$\\frac{1}{2}$' });
  await soon(() => expect(container.querySelector('annotation')?.textContent).toBe('\\frac{1}{2}'));
});

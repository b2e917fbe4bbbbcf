import { expect, test } from 'vitest';
import { render } from 'vitest-browser-svelte';
import { expectAccessible, THEMES, useTheme } from '$lib/ui/testing';
import Markdown from './Markdown.svelte';

const attacks = [
  '<img src=x onerror="window.attacked = true">',
  '<script>window.attacked = true</script>',
  '[link](javascript:window.attacked=true)',
  '![image](x" onerror="window.attacked=true)',
  '<a href="javascript:window.attacked=true">click</a>',
  '<svg onload="window.attacked=true"></svg>',
];

test.each(attacks)('%s stays text', async (text) => {
  const { container } = await render(Markdown, { text });
  expect(container.querySelector('img, script, svg[onload], [onerror], a[href^="javascript"]')).toBeNull();
  expect('attacked' in window).toBe(false);
  expect(container.textContent.trim()).not.toBe('');
});

test.each(THEMES)('all blocks have their element in the %s theme', async (theme) => {
  useTheme(theme);
  const text = '# Title\n\ntext **bold**\n\n- [x] done\n- open\n\n> quote\n\n|a|\n|-|\n|b|\n\n```py\nx = 1\n```\n\n---';
  const { container, getByRole } = await render(Markdown, { text, level: 3 });
  await expect.element(getByRole('heading', { level: 3, name: 'Title' })).toBeVisible();
  for (const name of ['strong', 'ul', 'blockquote', 'table', 'pre', 'hr']) {
    expect(container.querySelector(name), name).not.toBeNull();
  }
  await expect.element(getByRole('columnheader', { name: 'a' })).toBeVisible();
  await expectAccessible(container);
});

test('links open elsewhere and say nothing about this page', async () => {
  const { getByRole } = await render(Markdown, { text: '[docs](https://a.example/b)' });
  const link = getByRole('link', { name: 'docs' });
  await expect.element(link).toHaveAttribute('href', 'https://a.example/b');
  await expect.element(link).toHaveAttribute('rel', 'noopener noreferrer');
});

import axe from 'axe-core';
import { createRawSnippet, type Snippet } from 'svelte';
import { describe, expect } from 'vitest';

export const THEMES = ['light', 'dark'] as const;
export type ThemeName = (typeof THEMES)[number];

/** Runs `tests` in both themes. */
export function inBothThemes(name: string, tests: (theme: ThemeName) => void): void {
  describe.each(THEMES)(`${name}, %s`, (theme) => tests(theme));
}

export function useTheme(theme: ThemeName): void {
  document.documentElement.dataset.theme = theme;
}

/** A snippet that is a text, and nothing else in it is markup. */
export function text(content: string): Snippet {
  const escaped = document.createElement('span');
  escaped.textContent = content;
  return createRawSnippet(() => ({ render: () => escaped.outerHTML }));
}

/** There is nothing serious, contrast included, in what is rendered. */
export async function expectAccessible(element: Element = document.body): Promise<void> {
  // Text that fades in has less contrast.
  const ending = document
    .getAnimations()
    .filter((animation) => animation.effect?.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(ending.map((animation) => animation.finished));
  const { violations } = await axe.run(element, {
    runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
    // A part of a page has no title, language or landmarks.
    rules: { 'document-title': { enabled: false }, 'html-has-lang': { enabled: false } },
  });
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => ({ id, html: nodes.map(({ html }) => html) }))).toEqual([]);
}

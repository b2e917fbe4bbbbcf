// Formulas as MathML, by KaTeX, which is loaded with the first of them.

import type katexModule from 'katex';
import type { Attachment } from 'svelte/attachments';

type Katex = typeof katexModule;

let katex: Katex | null = null;
let loading: Promise<Katex> | null = null;

/** An attachment that shows a formula in its element. */
export function showMath(text: string, display: boolean): Attachment<HTMLElement> {
  return (element) => {
    if (katex !== null) {
      render(katex, element, text, display);
      return undefined;
    }
    showSource(element, text);
    let isShown = true;
    load().then(
      (loaded) => {
        if (isShown) render(loaded, element, text, display);
      },
      // The gateway is not reachable: the source stays, and the next formula tries again.
      () => (loading = null),
    );
    return () => {
      isShown = false;
    };
  };
}

function load(): Promise<Katex> {
  loading ??= import('katex').then((module) => (katex = module.default));
  return loading;
}

function render(loaded: Katex, element: HTMLElement, text: string, display: boolean): void {
  try {
    // It has no commands for links, images and markup, as they need `trust`.
    loaded.render(text, element, {
      displayMode: display,
      output: 'mathml',
      strict: 'ignore',
      errorColor: 'currentcolor',
      maxSize: 20,
      maxExpand: 500,
    });
    element.removeAttribute('title');
  } catch (error) {
    showSource(element, text);
    element.title = error instanceof Error ? error.message : 'This formula is not valid LaTeX.';
  }
}

function showSource(element: HTMLElement, text: string): void {
  const code = document.createElement('code');
  code.textContent = text;
  element.replaceChildren(code);
}

// LaTeX in Markdown, as rules for the lexer of marked: `$x$`, `\(x\)`, `$$x$$` and `\[x\]`. A formula has no empty line, so that what
// follows a delimiter without an end stays text.

import type { TokenizerExtension } from 'marked';

export type MathToken = { type: 'math'; raw: string; text: string; display: boolean };

/** Longer ones are text, so that the search for their end is short. */
const MAX_LENGTH = 4_000;

/** Delimiters of formulas on lines of their own. */
const DISPLAY = [
  ['$$', '$$'],
  ['\\[', '\\]'],
] as const;

export const blockMath: TokenizerExtension = {
  name: 'blockMath',
  level: 'block',
  // Only where there is a formula: a paragraph that is cut at each delimiter takes long.
  start(source) {
    const end = source.indexOf('\n\n');
    const paragraph = end < 0 ? source : source.slice(0, end);
    for (const { index } of paragraph.matchAll(/\n(?= {0,3}(?:\$\$|\\\[))/g)) {
      if (readBlock(source.slice(index + 1)) !== undefined) return index + 1;
    }
    return undefined;
  },
  tokenizer: readBlock,
};

export const inlineMath: TokenizerExtension = {
  name: 'inlineMath',
  level: 'inline',
  start(source) {
    const at = source.search(/\$|\\[([]/);
    return at < 0 ? undefined : at;
  },
  tokenizer(source, tokens) {
    return readDisplay(source) ?? readParentheses(source) ?? readDollars(source, tokens.at(-1)?.raw ?? '');
  },
};

function readBlock(source: string): MathToken | undefined {
  const indent = /^ {0,3}/.exec(source)?.[0] ?? '';
  const found = readDisplay(source.slice(indent.length));
  if (found === undefined) return undefined;
  const length = indent.length + found.raw.length;
  const rest = /^[ \t]*(?:\n|$)/.exec(source.slice(length));
  // The rule for formulas in a line applies if something follows.
  return rest === null ? undefined : { ...found, raw: source.slice(0, length) + rest[0] };
}

function readDisplay(source: string): MathToken | undefined {
  for (const [open, close] of DISPLAY) {
    const text = between(source, open, close);
    // Model cards escape brackets of plain text, such as `\[optional\]`.
    if (text === null || (open === '\\[' && !/[\\^_=<>{}+]/.test(text))) continue;
    return { type: 'math', raw: open + text + close, text: text.trim(), display: true };
  }
  return undefined;
}

function readParentheses(source: string): MathToken | undefined {
  const text = between(source, '\\(', '\\)');
  const isProse = text !== null && /[A-Za-z]{4}/.test(text) && !/[\\^_=<>{}]/.test(text);
  if (text === null || isProse) return undefined;
  return { type: 'math', raw: `\\(${text}\\)`, text: text.trim(), display: false };
}

/** By the rules of Pandoc, which tell formulas from prices, and from variables of shells. */
function readDollars(source: string, before: string): MathToken | undefined {
  const text = between(source, '$', '$');
  if (text === null || /^\s|\s$|[`\n]/.test(text) || /[\w$]$/.test(before)) return undefined;
  const after = source.charAt(text.length + 2);
  return /[\w$]/.test(after) ? undefined : { type: 'math', raw: `$${text}$`, text, display: false };
}

/** What is between the delimiters at the start of `source`, if it can be a formula. */
function between(source: string, open: string, close: string): string | null {
  if (!source.startsWith(open)) return null;
  const head = source.slice(0, MAX_LENGTH);
  let end = head.indexOf(close, open.length);
  while (end > 0 && head.charAt(end - 1) === '\\') end = head.indexOf(close, end + 1);
  const text = head.slice(open.length, Math.max(end, 0));
  return end < 0 || text.trim() === '' || /\n[ \t]*\n/.test(text) ? null : text;
}

// Markdown as a tree for components. Nothing of it becomes HTML: raw HTML stays text, and only links to pages and mail are links.

import { Lexer, Marked, type MarkedToken, type Token, type Tokens } from 'marked';
import { blockMath, inlineMath, type MathToken } from './math';

export type Inline =
  | { type: 'text'; text: string }
  | { type: 'code'; text: string }
  | { type: 'strong' | 'emphasis' | 'deleted'; children: Inline[] }
  | { type: 'link'; href: string; children: Inline[] }
  | { type: 'image'; text: string }
  | { type: 'math'; text: string; display: boolean }
  | { type: 'break' };

export type Align = 'start' | 'center' | 'end';

export interface Cell {
  align: Align;
  children: Inline[];
}

export interface Item {
  /** Null for items that are not tasks. */
  checked: boolean | null;
  blocks: Block[];
}

export type Block =
  | { type: 'heading'; level: number; children: Inline[] }
  | { type: 'paragraph'; children: Inline[] }
  /** `closed`: its end was found, so that no text can be added to it. */
  | { type: 'code'; language: string | null; text: string; closed: boolean }
  | { type: 'math'; text: string }
  | { type: 'html'; text: string }
  | { type: 'quote'; blocks: Block[] }
  | { type: 'list'; start: number | null; items: Item[] }
  | { type: 'table'; header: Cell[]; rows: Cell[][] }
  | { type: 'rule' };

/** A part of a text that is at most one block: also empty lines and definitions of links. The sources of all parts are the text. */
export interface Part {
  source: string;
  block: Block | null;
  definition: Definition | null;
}

/** The target of links that name it. */
export interface Definition {
  name: string;
  href: string;
  title: string;
}

/** What is nested deeper is shown as its source. */
const MAX_DEPTH = 24;

const { defaults } = new Marked({ extensions: [blockMath, inlineMath] });

export function parseMarkdown(text: string): Block[] {
  return parseParts(text, []).flatMap((part) => part.block ?? []);
}

/** The parts of a text, whose line ends are those of Unix. `definitions` are those in the text before it. */
export function parseParts(text: string, definitions: Definition[]): Part[] {
  try {
    const lexer = new Lexer(defaults);
    for (const { name, href, title } of definitions) lexer.tokens.links[name] ??= { href, title };
    return lexer.lex(text).map((token) => ({
      source: token.raw,
      block: block(token as MarkedToken | MathToken, 0),
      definition: definition(token as MarkedToken | MathToken),
    }));
  } catch (error) {
    // The lexer is recursive: text that was made to exhaust the stack is shown as it is.
    if (!(error instanceof RangeError)) throw error;
    return [{ source: text, block: { type: 'code', language: null, text, closed: true }, definition: null }];
  }
}

function definition(token: MarkedToken | MathToken): Definition | null {
  return token.type === 'def' ? { name: token.tag, href: token.href, title: token.title } : null;
}

/** A model card without the metadata at its beginning. */
export function withoutFrontMatter(text: string): string {
  return text.replace(/^\uFEFF?---[ \t]*\r?\n[\s\S]*?\r?\n---[ \t]*(?:\r?\n|$)/, '');
}

function blocks(tokens: Token[], depth: number): Block[] {
  return tokens.flatMap((token) => block(token as MarkedToken | MathToken, depth) ?? []);
}

function block(token: MarkedToken | MathToken, depth: number): Block | null {
  if (depth > MAX_DEPTH) return { type: 'code', language: null, text: token.raw, closed: true };
  switch (token.type) {
    case 'heading':
      return { type: 'heading', level: token.depth, children: inlines(token.tokens, depth + 1) };
    case 'paragraph':
      return { type: 'paragraph', children: inlines(token.tokens, depth + 1) };
    case 'text':
      // Of items of lists without empty lines between them.
      return { type: 'paragraph', children: inlines(token.tokens ?? [token], depth + 1) };
    case 'code':
      return { type: 'code', language: language(token.lang), text: token.text, closed: isClosed(token) };
    case 'math':
      return { type: 'math', text: token.text };
    case 'html':
      return isComment(token.text) ? null : { type: 'html', text: token.text.trim() };
    case 'blockquote':
      return { type: 'quote', blocks: blocks(token.tokens, depth + 1) };
    case 'list':
      return {
        type: 'list',
        start: token.ordered ? Number(token.start) || 1 : null,
        items: token.items.map((item) => ({
          checked: item.task ? item.checked === true : null,
          blocks: blocks(item.tokens, depth + 1),
        })),
      };
    case 'table': {
      const cell = ({ tokens, align }: (typeof token.header)[number]): Cell => ({
        align: align === 'right' ? 'end' : align === 'center' ? 'center' : 'start',
        children: inlines(tokens, depth + 1),
      });
      return { type: 'table', header: token.header.map(cell), rows: token.rows.map((row) => row.map(cell)) };
    }
    case 'hr':
      return { type: 'rule' };
    default:
      // Empty lines, definitions of links and the boxes of tasks, which are read from their items.
      return null;
  }
}

function inlines(tokens: Token[], depth: number): Inline[] {
  return tokens.map((token) => inline(token as MarkedToken | MathToken, depth));
}

function inline(token: MarkedToken | MathToken, depth: number): Inline {
  if (depth > MAX_DEPTH) return { type: 'text', text: token.raw };
  switch (token.type) {
    case 'text':
    case 'escape':
      return { type: 'text', text: decodeEntities(token.text) };
    case 'codespan':
      return { type: 'code', text: token.text };
    case 'math':
      return { type: 'math', text: token.text, display: token.display };
    case 'strong':
      return { type: 'strong', children: inlines(token.tokens, depth + 1) };
    case 'em':
      return { type: 'emphasis', children: inlines(token.tokens, depth + 1) };
    case 'del':
      return { type: 'deleted', children: inlines(token.tokens, depth + 1) };
    case 'br':
      return { type: 'break' };
    case 'image':
      return { type: 'image', text: decodeEntities(token.text) };
    case 'link': {
      const children = inlines(token.tokens, depth + 1);
      const href = safeHref(token.autolink ? token.href : decodeEntities(token.href));
      return href === null ? { type: 'text', text: plainText(children) } : { type: 'link', href, children };
    }
    case 'html':
      return /^<br\s*\/?>$/i.test(token.text) ? { type: 'break' } : { type: 'text', text: token.text };
    default:
      return { type: 'text', text: token.raw };
  }
}

/** An absolute address that is safe to open, or null. Others are relative to a repository that is not here. */
export function safeHref(href: string): string | null {
  if (!/^(?:https?:\/\/|mailto:)/i.test(href)) return null;
  try {
    return new URL(href).href;
  } catch {
    return null;
  }
}

export function plainText(children: Inline[]): string {
  return children
    .map((child) => {
      if ('text' in child) return child.text;
      return 'children' in child ? plainText(child.children) : ' ';
    })
    .join('');
}

/** The first word of what follows the fence. */
function language(info: string | undefined): string | null {
  return /^[\w+#.-]+/.exec(info ?? '')?.[0] ?? null;
}

/** Whether a block of code is indented, or has its closing fence. */
function isClosed({ codeBlockStyle, raw }: Tokens.Code): boolean {
  return codeBlockStyle === 'indented' || /\n {0,3}(?:`{3,}|~{3,})\s*$/.test(raw);
}

function isComment(text: string): boolean {
  return /^\s*(?:<!--[\s\S]*?-->\s*)+$/.test(text);
}

const named: Record<string, string> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
  copy: '©',
  reg: '®',
  trade: '™',
  mdash: '—',
  ndash: '–',
  hellip: '…',
  times: '×',
  rarr: '→',
};

/** The lexer keeps character references; those that are not known here stay as they are. */
function decodeEntities(text: string): string {
  return text.replace(
    /&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]+));/gi,
    (whole, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return named[name] ?? whole;
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
      const isCharacter = code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
      return isCharacter ? String.fromCodePoint(code) : whole;
    },
  );
}

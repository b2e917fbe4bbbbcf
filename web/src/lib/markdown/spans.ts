// The output of highlight.js as spans of text, so that no markup is inserted.

/** Text that is in the innermost scope `scope`, such as `keyword`, or in none. */
export interface Span {
  scope: string | null;
  text: string;
}

const references: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#x27': "'" };

/** Reads the markup that highlight.js writes: elements `span` with a class, text, and references to five characters. */
export function readSpans(markup: string): Span[] {
  const spans: Span[] = [];
  const scopes: string[] = [];
  for (const [part, classes, closing] of markup.matchAll(/<span class="([^"]*)">|(<\/span>)|[^<]+/g)) {
    if (classes !== undefined) scopes.push(scopeOf(classes));
    else if (closing !== undefined) scopes.pop();
    else spans.push({ scope: scopes.at(-1) ?? null, text: decode(part) });
  }
  return spans;
}

/** `hljs-title function_` is the scope `title`. Code of another language is `language-css`, without a scope of its own. */
function scopeOf(classes: string): string {
  return /^hljs-([\w-]+)/.exec(classes)?.[1] ?? '';
}

function decode(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#x27);/g, (whole, name: string) => references[name] ?? whole);
}

const styles: Record<string, string> = {
  keyword: 'text-brand',
  'selector-tag': 'text-brand',
  tag: 'text-brand',
  name: 'text-brand',
  section: 'text-brand font-medium',
  doctag: 'text-brand',
  string: 'text-ok',
  regexp: 'text-ok',
  addition: 'text-ok',
  char: 'text-ok',
  link: 'text-ok',
  number: 'text-info',
  literal: 'text-info',
  symbol: 'text-info',
  bullet: 'text-info',
  variable: 'text-info',
  'template-variable': 'text-info',
  'selector-class': 'text-info',
  'selector-id': 'text-info',
  type: 'text-warn',
  built_in: 'text-warn',
  attr: 'text-warn',
  attribute: 'text-warn',
  meta: 'text-warn',
  title: 'font-medium',
  strong: 'font-semibold',
  emphasis: 'italic',
  comment: 'text-ink-3 italic',
  quote: 'text-ink-3 italic',
  deletion: 'text-bad',
};

/** The classes of a scope. */
export function styleOf(scope: string | null): string | undefined {
  return scope === null ? undefined : styles[scope];
}

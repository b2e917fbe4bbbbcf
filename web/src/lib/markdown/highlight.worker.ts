// Highlights code off the main thread.
import hljs from 'highlight.js/lib/common';
import type { HighlightRequest, HighlightResponse } from './highlight';
import { readSpans, type Span } from './spans';

self.addEventListener('message', ({ data }: MessageEvent<HighlightRequest>) => {
  self.postMessage({ id: data.id, spans: highlight(data) } satisfies HighlightResponse);
});

/** Null for a language that is not known here. */
function highlight({ text, language }: HighlightRequest): Span[] | null {
  if (hljs.getLanguage(language) === undefined) return null;
  return readSpans(hljs.highlight(text, { language, ignoreIllegals: true }).value);
}

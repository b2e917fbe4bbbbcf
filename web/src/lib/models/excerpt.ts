// The beginning of a long text.

/** Whole paragraphs of up to about this many characters. */
const LENGTH = 2_000;

/** The beginning of a text, up to the end of a paragraph; a fence of code that was opened is not cut. */
export function excerpt(text: string, length = LENGTH): string {
  if (text.length <= length * 1.25) return text;
  const end = text.lastIndexOf('\n\n', length);
  const cut = text.slice(0, end > length / 4 ? end : length).trimEnd();
  const fences = cut.match(/^```/gm)?.length ?? 0;
  return fences % 2 === 0 ? cut : `${cut}\n\`\`\``;
}

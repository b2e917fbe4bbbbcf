import type { Option } from './types';

export interface OptionGroup {
  name: string | undefined;
  options: Option[];
}

/** Options in groups, in the order in which each group first occurs. */
export function grouped(options: Option[]): OptionGroup[] {
  const groups: OptionGroup[] = [];
  for (const option of options) {
    const group = groups.find((each) => each.name === option.group);
    if (group) group.options.push(option);
    else groups.push({ name: option.group, options: [option] });
  }
  return groups;
}

/** An option as one text: with its detail, and why it cannot be chosen. */
export function optionText({ label, detail, reason }: Option): string {
  return [label, reason ?? detail].filter(Boolean).join(' · ');
}

/** Options that contain every word of `query` in their label, detail or keywords, those that begin with it first. */
export function matching(options: Option[], query: string): Option[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return options;
  const found = options.filter((option) => {
    const text = [option.label, option.detail ?? '', ...(option.keywords ?? [])].join(' ').toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const begins = (option: Option) => (option.label.toLowerCase().startsWith(words[0] ?? '') ? 0 : 1);
  return found.sort((a, b) => begins(a) - begins(b));
}

// Prompt templates: texts with {{variables}}, inserted by `/name`. No Svelte inside.

const VARIABLE = /\{\{\s*([\p{L}\p{N}_][\p{L}\p{N}_ .-]*?)\s*\}\}/gu;

/** Names of the variables of a text, each once, in their order. */
export function variables(text: string): string[] {
  return [...new Set([...text.matchAll(VARIABLE)].map(([, name]) => name ?? ''))];
}

/** The text with the values of its variables. Those without a value stay as they are. */
export function filled(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(VARIABLE, (whole, name: string) => (Object.hasOwn(values, name) ? (values[name] ?? '') : whole));
}

/** The command that is being typed: a draft that begins with `/` and has no space yet. Null for any other draft. */
export function commandOf(draft: string): string | null {
  return /^\/([^\s/]*)$/u.exec(draft)?.[1] ?? null;
}

interface Named {
  name: string;
  text: string;
}

/** Templates for a command: those whose names begin with it come first. */
export function matching<T extends Named>(templates: readonly T[], command: string): T[] {
  const wanted = command.toLowerCase();
  const rank = ({ name }: T): number => {
    const at = name.toLowerCase().indexOf(wanted);
    return at === -1 ? 2 : Math.min(at, 1);
  };
  return templates.filter((template) => rank(template) < 2).sort((one, other) => rank(one) - rank(other));
}

// Texts of a configuration that are copied. No Svelte inside.
import type { ClientFile, ClientKind, ClientSetup } from '$lib/api';

export const kindTexts: Record<ClientKind, string> = {
  agent: 'Agent',
  editor: 'Editor',
  app: 'Application',
  sdk: 'Library',
  http: 'Shell',
};

/** A word of a shell. */
function quoted(word: string): string {
  return /^[\w./:@%+,=~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function command(words: readonly string[]): string {
  return words.map(quoted).join(' ');
}

/** The command that does everything on the machine of the gateway. */
export function launchCommand({ client, model, fast }: ClientSetup): string {
  const words = ['mlxm', 'launch', client.id];
  if (model != null) words.push('--model', model);
  if (client.has_fast_model && fast != null && fast !== model) words.push('--fast', fast);
  return command(words);
}

/** The lines that set the environment variables. */
export function exportLines({ environment }: ClientSetup): string {
  return environment.map(({ name, value }) => `export ${name}=${quoted(value)}`).join('\n');
}

export function path({ directory, name }: ClientFile): string {
  return `${directory}/${name}`;
}

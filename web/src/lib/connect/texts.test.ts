import { expect, it } from 'vitest';

import type { ClientFile, ClientSetup } from '$lib/api';

import { client } from './testing';
import { command, exportLines, launchCommand, path } from './texts';

function setup(changes: Partial<ClientSetup>): ClientSetup {
  return {
    client: client('codex'),
    url: 'http://127.0.0.1:8080',
    model: 'coder',
    fast: 'coder',
    context_length: null,
    fast_context_length: null,
    key: { is_required: false, placeholder: 'mlxm' },
    files: [],
    environment: [],
    setup: [],
    start: null,
    aliases: [],
    snippets: [],
    notes: [],
    problems: [],
    ...changes,
  };
}

it('quotes what a shell would read otherwise', () => {
  expect(command(['codex', '--model', "it's big", 'a/b:c'])).toBe(`codex --model 'it'\\''s big' a/b:c`);
  expect(command([''])).toBe("''");
});

it('names the second model only where it is another one', () => {
  expect(launchCommand(setup({ fast: 'small' }))).toBe('mlxm launch codex --model coder');
  const claude = client('claude-code', { has_fast_model: true });
  expect(launchCommand(setup({ client: claude }))).toBe('mlxm launch claude-code --model coder');
  expect(launchCommand(setup({ client: claude, fast: 'small' }))).toBe(
    'mlxm launch claude-code --model coder --fast small',
  );
  expect(launchCommand(setup({ model: null, fast: null }))).toBe('mlxm launch codex');
});

it('sets variables, and names files', () => {
  const environment = [
    { name: 'A', value: 'http://x/v1' },
    { name: 'B', value: 'two words' },
  ];
  expect(exportLines(setup({ environment }))).toBe("export A=http://x/v1\nexport B='two words'");
  const file: ClientFile = {
    directory: '~/.codex',
    directory_variable: null,
    name: 'mlxm.config.toml',
    format: 'toml',
    content: '',
    changes: [],
    is_written_by_setup: false,
  };
  expect(path(file)).toBe('~/.codex/mlxm.config.toml');
});

/** A profile while it is edited: texts and switches, from and to its configuration. */
import type { LoadSettings, ProfileConfig } from '$lib/api';
import { fields, flags, type FlagPath } from './fields';
import { format, parse, type Value } from './parse';

/** The texts and switches of the form. */
export interface Draft {
  /** Texts by path. */
  readonly texts: Record<string, string>;
  /** Switches by path. */
  readonly flags: Record<FlagPath, boolean>;
  /** The configuration that is edited, with what the form does not show. */
  readonly base: ProfileConfig;
}

/** A draft as a configuration. Fields with errors have the value of `base`. */
export interface Reading {
  readonly config: ProfileConfig;
  /** What is wrong, by path. */
  readonly errors: Readonly<Record<string, string>>;
}

type Tree = Record<string, unknown>;

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at a path of a configuration; `undefined` for one that is absent, null or empty. */
export function valueAt(config: ProfileConfig, path: string): unknown {
  let value: unknown = config;
  for (const name of path.split('.')) value = isTree(value) ? value[name] : undefined;
  if (value === null || value === '') return undefined;
  if (Array.isArray(value) && value.length === 0) return undefined;
  if (isTree(value) && Object.keys(value).length === 0) return undefined;
  return value;
}

function put(config: Tree, path: string, value: Value): void {
  const [first = '', second] = path.split('.');
  const parent = second === undefined ? config : config[first];
  const name = second ?? first;
  if (!isTree(parent)) return;
  if (value === undefined) Reflect.deleteProperty(parent, name);
  else parent[name] = value;
}

/** A profile that was not saved yet. */
export function emptyConfig(): ProfileConfig {
  return { name: '', model: '', is_pinned: false, auto_start: false, load: {}, request: {} };
}

/** The form of a configuration. */
export function toDraft(config: ProfileConfig): Draft {
  const texts = fields.map((field) => [field.path, format(field, valueAt(config, field.path))]);
  return {
    texts: Object.fromEntries(texts) as Record<string, string>,
    flags: { auto_start: config.auto_start ?? false, is_pinned: config.is_pinned ?? false },
    base: config,
  };
}

/** The configuration of a form. */
export function readDraft(draft: Draft): Reading {
  const errors: Record<string, string> = {};
  const { base } = draft;
  // Values are replaced, never changed, so that copies of these three objects are enough.
  const config: ProfileConfig = { ...base, load: { ...base.load }, request: { ...base.request } };
  const tree = config as unknown as Tree;
  for (const field of fields) {
    const parsed = parse(field, draft.texts[field.path] ?? '');
    if ('error' in parsed) errors[field.path] = parsed.error;
    else put(tree, field.path, parsed.value);
  }
  for (const flag of flags) config[flag.path] = draft.flags[flag.path];
  config.name ??= '';
  config.model ??= '';
  if (config.name === '') errors['name'] = 'Enter a name.';
  if (config.model === '') errors['model'] = 'Choose a model.';
  Object.assign(errors, together(config, errors));
  return { config, errors };
}

/** Fields that are valid by themselves, but not with each other. */
function together(config: ProfileConfig, errors: Readonly<Record<string, string>>): Record<string, string> {
  const load: LoadSettings = config.load ?? {};
  const found: Record<string, string> = {};
  const { context_length: context, kv_pool_tokens: pool, max_batch_tokens: batch } = load;
  const sequences = load.max_sequences ?? 16;
  if (context != null && pool != null && pool < context && !errors['load.kv_pool_tokens']) {
    found['load.kv_pool_tokens'] = `Enter at least the context length, ${String(context)}.`;
  }
  if (batch != null && batch < sequences && !errors['load.max_batch_tokens']) {
    found['load.max_batch_tokens'] = `Enter at least the concurrent sequences, ${String(sequences)}.`;
  }
  return found;
}

/** The last part of a model's name, as the name of a profile that no other has. */
export function suggestedName(model: string, taken: ReadonlySet<string>): string {
  const short = model.split('/').at(-1) ?? model;
  if (short === '' || !taken.has(short)) return short;
  for (let number = 2; ; number += 1) {
    const name = `${short} ${String(number)}`;
    if (!taken.has(name)) return name;
  }
}

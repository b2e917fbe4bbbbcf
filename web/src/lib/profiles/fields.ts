/**
 * The fields of a profile, as the form, the differences and the errors name them.
 *
 * A path is that of the API's `ProfileConfig`, so that errors of the server find their field. Lists of fields by group are in
 * `fields-server.ts`, `fields-load.ts` and `fields-request.ts`.
 */
import { loadFields } from './fields-load';
import { requestFields } from './fields-request';
import { serverFields } from './fields-server';

/** How the text of a field is read. */
export type Kind =
  /** One line, without spaces at its ends. */
  | 'text'
  /** As it is written. */
  | 'prose'
  /** A whole number. */
  | 'integer'
  /** A whole number of tokens: `32k` is 32,768. */
  | 'tokens'
  /** A duration, such as `30 min`, in seconds. */
  | 'seconds'
  /** A number with a decimal point or comma. */
  | 'decimal'
  /** One of `choices`. */
  | 'choice'
  /** A choice that is on, off or an effort. */
  | 'thinking'
  /** A string in each line, with `\n` for a line break. */
  | 'strings'
  /** A token id and its bias in each line. */
  | 'biases';

/** When a change takes effect. */
export type Effect =
  /** Another server is needed. */
  | 'restart'
  /** With the next request, or at once. */
  | 'immediate'
  /** When the server is started the next time. */
  | 'start';

/** Where the form shows a field. */
export type Group = 'load' | 'request' | 'server';

/** An option of a field. */
export interface Choice {
  /** The value; empty for the default. */
  readonly value: string;
  /** What is shown. */
  readonly label: string;
}

/** A field that is edited as text. */
export interface FieldSpec {
  /** Path in `ProfileConfig`. */
  readonly path: string;
  /** Its name on the page. */
  readonly label: string;
  /** What it does, in one sentence. */
  readonly help: string;
  /** How its text is read. */
  readonly kind: Kind;
  /** Where it is shown. */
  readonly group: Group;
  /** Whether most people leave it as it is. */
  readonly advanced: boolean;
  /** What is used without a value, in words. */
  readonly fallback: string;
  /** The least number. */
  readonly min?: number;
  /** The greatest number. */
  readonly max?: number;
  /** Whether `min` itself is not accepted. */
  readonly minExcluded?: boolean;
  /** Unit of the number. */
  readonly unit?: string;
  /** The options, the default first. */
  readonly choices?: readonly Choice[];
}

/** Switches of a profile. */
export const flags = [
  {
    path: 'auto_start',
    label: 'Start with the gateway',
    help: 'Loads the model when mlxm serve starts.',
  },
  {
    path: 'is_pinned',
    label: 'Keep in memory',
    help: 'Never stopped for another model, and started with the gateway.',
  },
] as const;

/** Path of a switch. */
export type FlagPath = (typeof flags)[number]['path'];

/** The name and the model, which every profile has. */
export const identityFields: readonly FieldSpec[] = [
  {
    path: 'model',
    label: 'Model',
    help: 'The model that serves requests of this profile.',
    kind: 'text',
    group: 'load',
    advanced: false,
    fallback: '',
  },
  {
    path: 'name',
    label: 'Name',
    help: 'Clients send it as the model of a request.',
    kind: 'text',
    group: 'server',
    advanced: false,
    fallback: '',
  },
];

/** All fields that are edited as text, in the order of the form. */
export const fields: readonly FieldSpec[] = [...identityFields, ...serverFields, ...loadFields, ...requestFields];

const byPath = new Map(fields.map((field) => [field.path, field]));

/** The field with this path; the nearest field above it for a path below one, such as `request.logit_bias.17`. */
export function fieldAt(path: string): FieldSpec | undefined {
  for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
    const field = byPath.get(path.slice(0, end));
    if (field) return field;
  }
  return undefined;
}

/** The fields of a group, either those that are always shown or the others. */
export function fieldsOf(group: Group, advanced: boolean): readonly FieldSpec[] {
  const shown = group === 'load' ? loadFields : group === 'request' ? requestFields : serverFields;
  return shown.filter((field) => field.advanced === advanced);
}

/** When a change of the field takes effect. */
export function effectOf(path: string): Effect {
  if (path === 'model' || path === 'log_level' || path.startsWith('load.')) return 'restart';
  if (path === 'is_pinned' || path === 'auto_start') return 'start';
  return 'immediate';
}

/** The effect as the form says it. */
export const effectLabels: Readonly<Record<Effect, string>> = {
  restart: 'Restarts the server',
  immediate: 'Applies immediately',
  start: 'Applies at the next start',
};

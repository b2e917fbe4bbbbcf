/** What differs between two configurations of a profile, and when it takes effect. */
import type { ProfileConfig } from '$lib/api';
import { valueAt } from './draft';
import { effectOf, fields, flags, type Effect, type FieldSpec } from './fields';
import { format } from './parse';

/** A field with two values. */
export interface Change {
  readonly path: string;
  readonly label: string;
  /** Text of the value before. */
  readonly before: string;
  /** Text of the value after. */
  readonly after: string;
  readonly effect: Effect;
}

function shown(field: FieldSpec, value: unknown): string {
  if (value === undefined) return field.fallback === '' ? 'none' : field.fallback;
  const text = format(field, value);
  const choice = field.choices?.find((each) => each.value === text);
  if (choice) return choice.label;
  return field.unit === undefined ? text : `${text} ${field.unit}`;
}

/** The changed fields in the order of the form. */
export function changesOf(before: ProfileConfig, after: ProfileConfig): Change[] {
  const changes: Change[] = [];
  for (const field of fields) {
    const old = valueAt(before, field.path);
    const next = valueAt(after, field.path);
    if (format(field, old) === format(field, next)) continue;
    const { path, label } = field;
    changes.push({
      path,
      label,
      before: shown(field, old),
      after: shown(field, next),
      effect: effectOf(path),
    });
  }
  for (const { path, label } of flags) {
    const [old, next] = [before[path] ?? false, after[path] ?? false];
    if (old === next) continue;
    const word = (value: boolean): string => (value ? 'on' : 'off');
    changes.push({ path, label, before: word(old), after: word(next), effect: effectOf(path) });
  }
  return changes;
}

/** The changes with one effect. */
export function withEffect(changes: readonly Change[], effect: Effect): Change[] {
  return changes.filter((change) => change.effect === effect);
}

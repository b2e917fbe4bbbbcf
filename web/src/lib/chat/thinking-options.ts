// What a chat can choose about the thinking of its model. No Svelte inside.
import type { Option } from '$lib/ui';
import { has, type Target } from './targets';

const EFFORTS = ['low', 'medium', 'high'];

/** `thinking` of the settings as a choice; empty for that of the profile, or of the model. */
export function choiceOf(thinking: boolean | string | null | undefined): string {
  if (typeof thinking === 'string') return thinking;
  return thinking == null ? '' : thinking ? 'on' : 'off';
}

/** The setting of a choice. */
export function thinkingOf(choice: string): boolean | string | null {
  if (choice === '') return null;
  return choice === 'on' || choice === 'off' ? choice === 'on' : choice;
}

/**
 * What the chat template of a model can be given; everything while it is unknown, as during a download. A level that was `chosen` with
 * another model stays visible, with the reason why it has no effect.
 */
export function thinkingOptions(target: Target | null, chosen: string): Option[] {
  const title = target?.title ?? '';
  const known = target?.local?.characteristics ?? null;
  const none = has(target, 'thinking') === false ? `${title} has no thinking mode.` : undefined;
  const noSwitch =
    none ?? (known?.has_thinking_switch === false ? `${title} cannot turn thinking off or on.` : undefined);
  const noEffort = none ?? (known?.has_reasoning_effort === false ? `${title} has no levels of thinking.` : undefined);
  const levels = noEffort === undefined ? EFFORTS : [];
  const isElse = !['', 'off', 'on', ...levels].includes(chosen);
  return [
    { value: '', label: 'Thinking: default' },
    // What a model without a thinking mode does anyway.
    option('off', none === undefined ? noSwitch : undefined),
    option('on', noSwitch),
    ...levels.map((level) => option(level, undefined)),
    ...(isElse ? [option(chosen, noEffort)] : []),
  ];
}

function option(value: string, reason: string | undefined): Option {
  return { value, label: `Thinking: ${value}`, ...(reason === undefined ? {} : { reason }) };
}

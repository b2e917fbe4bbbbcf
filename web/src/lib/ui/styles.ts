import type { ModelColor, Tone } from './types';

/** Classes that several controls share. */
const base =
  'inline-flex shrink-0 items-center justify-center gap-2 rounded-control font-medium whitespace-nowrap select-none transition-colors';

const variants = {
  primary: 'bg-ink text-bg hover:bg-ink-2',
  secondary: 'border border-edge text-ink hover:bg-sunken active:bg-line',
  ghost: 'text-ink-2 hover:bg-sunken hover:text-ink active:bg-line',
  danger: 'border border-edge text-bad hover:bg-sunken active:bg-line',
  'danger-ghost': 'text-bad hover:bg-sunken active:bg-line',
  'danger-filled': 'bg-bad text-bg hover:opacity-90',
  pressed: 'bg-sunken text-ink hover:bg-line',
};

const disabledVariants = {
  primary: 'bg-sunken border border-line text-ink-3',
  secondary: 'border border-line text-ink-3',
  ghost: 'text-ink-3',
  danger: 'border border-line text-ink-3',
  'danger-ghost': 'text-ink-3',
  'danger-filled': 'bg-sunken border border-line text-ink-3',
  pressed: 'bg-sunken text-ink-3',
};

export type ButtonVariant = keyof typeof variants;
export type ButtonSize = 'md' | 'sm';

export function buttonClass(variant: ButtonVariant, disabled: boolean): string {
  return `${base} ${disabled ? `cursor-not-allowed ${disabledVariants[variant]}` : variants[variant]}`;
}

/** An input, or what looks like one. */
export const inputClass =
  'w-full min-w-0 rounded-control border border-edge bg-surface px-2 text-ink transition-colors ' +
  'hover:border-ink-3 aria-invalid:border-bad disabled:cursor-not-allowed disabled:border-line disabled:bg-sunken disabled:text-ink-3';

/** An input in a box that has the edge and the focus ring: `boxClass`. */
export const bareInputClass = 'w-full min-w-0 resize-none bg-transparent text-ink outline-none disabled:text-ink-3';

/** A box around a bare input and its buttons. */
export const boxClass =
  'rounded-tile border border-edge bg-surface transition-colors hover:border-ink-3 ' +
  'has-[textarea:focus-visible]:outline-2 has-[textarea:focus-visible]:outline-info';

/** A layer above the page, a popover: the only thing with a shadow. */
export const layerClass = 'fixed inset-auto rounded-tile border border-line bg-surface text-ink shadow-float';

/** A dialog: its content has the padding, so that a click on the dialog itself is one on the page behind it. */
export const dialogClass = 'dialog fixed border border-line bg-surface text-ink shadow-float backdrop:bg-scrim';

/** A key of a keyboard. */
export const keyClass = 'rounded-control border border-line bg-sunken px-1';

/** An entry of a list in a layer. */
export const itemClass =
  'flex min-h-row-compact w-full cursor-default items-center gap-2 rounded-control px-2 py-1 text-start outline-none select-none ' +
  'focus:bg-sunken focus:ring-1 focus:ring-edge focus:ring-inset data-active:bg-sunken data-active:ring-1 data-active:ring-edge ' +
  'data-active:ring-inset aria-disabled:text-ink-3';

export const toneText: Record<Tone, string> = {
  neutral: 'text-ink-2',
  brand: 'text-brand',
  ok: 'text-ok',
  warn: 'text-warn',
  bad: 'text-bad',
  info: 'text-info',
};

export const toneBackground: Record<Tone, string> = {
  neutral: 'bg-ink-3',
  brand: 'bg-brand',
  ok: 'bg-ok',
  warn: 'bg-warn',
  bad: 'bg-bad',
  info: 'bg-info',
};

const modelBackground: Record<ModelColor, string> = {
  1: 'bg-s1',
  2: 'bg-s2',
  3: 'bg-s3',
  4: 'bg-s4',
  5: 'bg-s5',
  6: 'bg-s6',
  7: 'bg-s7',
  8: 'bg-s8',
};

/** What people call the colors of models. */
export const colorNames: Readonly<Record<ModelColor, string>> = {
  1: 'Blue',
  2: 'Orange',
  3: 'Green',
  4: 'Pink',
  5: 'Teal',
  6: 'Yellow',
  7: 'Violet',
  8: 'Red',
};

const modelText: Record<ModelColor, string> = {
  1: 'text-s1',
  2: 'text-s2',
  3: 'text-s3',
  4: 'text-s4',
  5: 'text-s5',
  6: 'text-s6',
  7: 'text-s7',
  8: 'text-s8',
};

/** The background in a model's color; ink for models without one. */
export function colorBackground(color: ModelColor | undefined): string {
  return color === undefined ? 'bg-ink-3' : modelBackground[color];
}

/** The text color, also for hatching, in a model's color; ink for models without one. */
export function colorText(color: ModelColor | undefined): string {
  return color === undefined ? 'text-ink-3' : modelText[color];
}

/** The custom property of a color, for canvas and SVG. */
export function colorVariable(color: ModelColor | Tone | 'ink' | undefined): string {
  if (typeof color === 'number') return `--s${color}`;
  return color === undefined || color === 'neutral' ? '--ink-2' : `--${color}`;
}

/** A color of the data of the gateway: a number from 1 to 8, and nothing else. */
export function modelColor(value: number | null | undefined): ModelColor | undefined {
  return value !== null && value !== undefined && Number.isInteger(value) && value >= 1 && value <= 8
    ? (value as ModelColor)
    : undefined;
}

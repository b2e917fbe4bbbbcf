import type { LucideProps } from '@lucide/svelte';
import type { Component } from 'svelte';

/** An icon of Lucide, imported by itself: `import Play from '@lucide/svelte/icons/play'`. */
export type IconType = Component<LucideProps>;

/** What a color says. It never says it alone: a word or an icon is next to it. */
export type Tone = 'neutral' | 'brand' | 'ok' | 'warn' | 'bad' | 'info';

/** The color of a model, stored with its profile: one of eight. */
export type ModelColor = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** A choice of Select, Combobox, RadioGroup and Segmented. */
export interface Option<Value extends string = string> {
  value: Value;
  label: string;
  /** A second line, or text at the end of the line. */
  detail?: string;
  /** Options with the same group are listed under its name. */
  group?: string;
  icon?: IconType;
  /** The color of the model that it stands for. */
  color?: ModelColor;
  /** Why it cannot be chosen. It stays visible. */
  reason?: string;
  /** Other words that find it. */
  keywords?: string[];
}

/** An entry of Menu; `'separator'` is a line between entries. */
export type MenuItem =
  | 'separator'
  | {
      label: string;
      icon?: IconType;
      /** Keys of its shortcut, as Kbd shows them. */
      keys?: string;
      /** In the color of destructive actions. */
      danger?: boolean;
      /** Why it cannot be used. It stays visible. */
      reason?: string;
      href?: string;
      onselect?: () => void;
    };

/** A column of Table. */
export interface Column {
  key: string;
  label: string;
  /** Numbers are aligned to the end. */
  align?: 'start' | 'end';
  /** A CSS width, such as `'8rem'` or `'2fr'`. Default: `'1fr'`. */
  width?: string;
  /** Rows can be sorted by it. */
  sortable?: boolean;
  /** Left out in narrow windows, where rows are stacked. */
  wideOnly?: boolean;
  /** The heading is for screen readers only, as above a column of buttons. */
  hiddenLabel?: boolean;
}

/** The order of a table. */
export interface Sort {
  key: string;
  descending: boolean;
}

/** What a failed request says: `application/problem+json` without what only programs need. */
export interface ProblemLike {
  title: string;
  detail: string;
  code?: string | undefined;
  advice?: string | null | undefined;
  request_id?: string | null | undefined;
}

/** A series of TimeChart. `points` have the times of the chart; null is a gap. */
export interface Series {
  label: string;
  points: (number | null)[];
  /** A model's color, or ink. */
  color?: ModelColor | 'ink' | 'brand' | 'ok' | 'warn' | 'bad' | 'info';
  /** Fills the area under the line. */
  fill?: boolean;
}

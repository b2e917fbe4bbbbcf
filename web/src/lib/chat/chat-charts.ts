// The numbers of the responses of a branch: over time, and together. No Svelte inside.
import type { Message, Usage } from '$lib/api';
import { decimal, integer, milliseconds, percent } from '$lib/format';
import { median, type Chart } from '$lib/servers/charts';
import type { Series } from '$lib/ui';

import { tokensPerSecond } from './words';

/** A response that is complete, as far as it was measured. */
export interface Measured {
  atMs: number;
  usage: Usage;
}

export function measuredOf(path: readonly Message[]): Measured[] {
  return path.flatMap(({ role, usage, created_at_ms }) =>
    role === 'assistant' && usage != null ? [{ atMs: created_at_ms, usage }] : [],
  );
}

/** Charts on one axis of time, with a point for each response. */
export function chatCharts(measured: readonly Measured[], color: Series['color']): Chart[] {
  // A line needs two points: a single response is one from its start to its end.
  const end = measured.slice(0, measured.length === 1 ? 1 : 0);
  const shown = [...measured, ...end.map(({ atMs, usage }) => ({ atMs: atMs + usage.duration_ms, usage }))];
  const times = shown.map(({ atMs }) => atMs);
  const axis = { times, from: times[0] ?? 0, to: times.at(-1) ?? 0 };
  const line = (label: string, value: (usage: Usage) => number | null): Series[] => [
    { label, points: shown.map(({ usage }) => value(usage)), color, fill: true },
  ];
  return [
    {
      ...axis,
      label: 'Time to first token',
      kind: 'milliseconds',
      series: line('Per response', ({ time_to_first_token_ms: ms }) => ms ?? null),
    },
    { ...axis, label: 'Speed', kind: 'number', unit: 'tok/s', series: line('Generated', tokensPerSecond) },
    { ...axis, label: 'Cached part of the prompt', kind: 'percent', max: 1, series: line('Cached', cachedShare) },
    {
      ...axis,
      label: 'Time in the queue',
      kind: 'milliseconds',
      series: line('Per response', ({ queue_ms: ms }) => ms),
    },
    {
      ...axis,
      label: 'Tokens',
      kind: 'number',
      series: [
        ...line('Response', ({ completion_tokens: tokens }) => tokens),
        { label: 'Prompt', points: shown.map(({ usage }) => usage.prompt_tokens), color: 'ink', fill: false },
      ],
    },
  ];
}

/** All responses together, as names and values. */
export function chatTotals(measured: readonly Measured[]): [name: string, value: string][] {
  const sum = (value: (usage: Usage) => number): number =>
    measured.reduce((total, { usage }) => total + value(usage), 0);
  const known = (value: (usage: Usage) => number | null | undefined): number[] =>
    measured.map(({ usage }) => value(usage)).filter((one): one is number => typeof one === 'number');
  const firstToken = median(known((usage) => usage.time_to_first_token_ms));
  const speed = median(known(tokensPerSecond));
  const prompts = sum((usage) => usage.prompt_tokens);
  const cached = sum((usage) => usage.cached_tokens);
  return [
    ['Responses', integer(measured.length)],
    ['Generated tokens', integer(sum((usage) => usage.completion_tokens))],
    ['Prompt tokens', prompts === 0 ? '0' : `${integer(prompts)}, ${percent(cached / prompts)} cached`],
    ['Median time to first token', firstToken === null ? '–' : milliseconds(firstToken)],
    ['Median speed', speed === null ? '–' : `${decimal(speed, 1)} tok/s`],
  ];
}

function cachedShare({ prompt_tokens: prompt, cached_tokens: cached }: Usage): number | null {
  return prompt > 0 ? cached / prompt : null;
}

import { describe, expect, it } from 'vitest';

import type { Usage } from '$lib/api';

import { chatCharts, chatTotals, measuredOf } from './chat-charts';
import { question, response } from './testing';

const usage: Usage = {
  prompt_tokens: 100,
  cached_tokens: 0,
  completion_tokens: 41,
  queue_ms: 10,
  time_to_first_token_ms: 300,
  reasoning_ms: null,
  duration_ms: 1_310,
};
const path = [
  question('1', 'Why?'),
  response('2', 'Because.', { created_at_ms: 1_000, usage }),
  question('3', 'Really?'),
  response('4', '', { created_at_ms: 5_000 }),
  response('5', 'Yes.', {
    created_at_ms: 9_000,
    usage: { ...usage, prompt_tokens: 200, cached_tokens: 180, time_to_first_token_ms: 100, duration_ms: 1_110 },
  }),
];

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('the charts of a chat', () => {
  it('have a point for each response that was measured', () => {
    const measured = measuredOf(path);
    expect(measured.map(({ atMs }) => atMs)).toEqual([1_000, 9_000]);
    const charts = chatCharts(measured, 2);
    expect(charts.map(({ label, series }) => [label, series[0]?.points])).toEqual([
      ['Time to first token', [300, 100]],
      ['Speed', [40, 40]],
      ['Cached part of the prompt', [0, 0.9]],
      ['Time in the queue', [10, 10]],
      ['Tokens', [41, 41]],
    ]);
    expect(charts[4]?.series[1]?.points).toEqual([100, 200]);
    expect(charts[0]).toMatchObject({ times: [1_000, 9_000], from: 1_000, to: 9_000 });
  });

  it('show a single response as a line', () => {
    const [chart] = chatCharts(measuredOf(path.slice(0, 2)), undefined);
    expect(chart).toMatchObject({ times: [1_000, 2_310] });
    expect(chart?.series[0]?.points).toEqual([300, 300]);
  });
});

it('the totals are those of all responses', () => {
  expect(chatTotals(measuredOf(path)).map(([, value]) => plain(value))).toEqual([
    '2',
    '82',
    '300, 60% cached',
    '0.20 s',
    '40.0 tok/s',
  ]);
  expect(chatTotals([])[2]).toEqual(['Prompt tokens', '0']);
});

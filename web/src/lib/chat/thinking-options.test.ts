import { describe, expect, it } from 'vitest';

import type { Characteristics, LocalModel } from '$lib/api';

import type { Target } from './targets';
import { choiceOf, thinkingOf, thinkingOptions } from './thinking-options';

function target(characteristics: Partial<Characteristics> | null): Target {
  const badges = characteristics?.badges ?? [];
  const known = characteristics && { kind: 'text', badges, ...characteristics };
  const local = { characteristics: known } as unknown as LocalModel;
  return {
    name: 'm',
    title: 'Model',
    profile: null,
    model: 'm',
    local,
    server: null,
    color: 1,
    badges,
    reason: null,
  };
}

const usable = (found: Target, chosen = ''): string[] =>
  thinkingOptions(found, chosen).flatMap(({ value, reason }) => (reason === undefined ? [value] : []));

describe('the choices about thinking', () => {
  it.each([
    [true, false, ['', 'off', 'on']],
    [false, true, ['', 'low', 'medium', 'high']],
    [true, true, ['', 'off', 'on', 'low', 'medium', 'high']],
    [false, false, ['']],
  ])('are those of the chat template: switch %s, effort %s', (has_thinking_switch, has_reasoning_effort, found) => {
    expect(usable(target({ badges: ['thinking'], has_thinking_switch, has_reasoning_effort }))).toEqual(found);
  });

  it('are few for a model that does not think, and all while nothing is known', () => {
    expect(usable(target({ has_thinking_switch: false, has_reasoning_effort: false }))).toEqual(['', 'off']);
    expect(usable(target(null))).toEqual(['', 'off', 'on', 'low', 'medium', 'high']);
  });

  it('keep one that was chosen with another model, with the reason', () => {
    const badges: Characteristics['badges'] = ['thinking'];
    const found = target({ badges, has_thinking_switch: true, has_reasoning_effort: false });
    const shown = thinkingOptions(found, 'high').find(({ value }) => value === 'high');
    expect(shown?.reason).toBe('Model has no levels of thinking.');
    expect(thinkingOptions(target({ badges: [] }), '').find(({ value }) => value === 'on')?.reason).toBe(
      'Model has no thinking mode.',
    );
  });
});

it('a choice is a setting', () => {
  for (const thinking of [null, true, false, 'low']) expect(thinkingOf(choiceOf(thinking))).toBe(thinking);
});

import { describe, expect, it } from 'vitest';

import type { RequestSettings } from '$lib/api';

import { fieldsOf, withoutField } from './request-fields';

const settings: RequestSettings = {
  temperature: 0,
  min_p: 0.1,
  seed: 7,
  stop: ['END'],
  max_tokens: 9,
  logit_bias: {},
  top_k: null,
  system_prompt: 'Be brief.',
  tool_choice: 'auto',
};

describe('the fields of a request', () => {
  it('have the names of the chat completions API', () => {
    expect(fieldsOf('openai', settings)).toEqual({ temperature: 0, min_p: 0.1, seed: 7, stop: ['END'], max_tokens: 9 });
    expect(withoutField('openai', settings)).toEqual([]);
  });

  it('have the names of the Messages API, and what it does not have is named', () => {
    expect(fieldsOf('anthropic', settings)).toEqual({ temperature: 0, stop_sequences: ['END'], max_tokens: 9 });
    expect(withoutField('anthropic', settings)).toEqual(['min_p', 'seed']);
  });
});

it.each([
  [true, { chat_template_kwargs: { enable_thinking: true } }, { thinking: { type: 'adaptive' } }],
  [false, { chat_template_kwargs: { enable_thinking: false } }, { thinking: { type: 'disabled' } }],
  ['low', { reasoning_effort: 'low' }, { output_config: { effort: 'low' } }],
  [null, {}, {}],
] as const)('thinking %s is what each API calls it', (thinking, openai, anthropic) => {
  expect(fieldsOf('openai', { thinking })).toEqual(openai);
  expect(fieldsOf('anthropic', { thinking })).toEqual(anthropic);
});

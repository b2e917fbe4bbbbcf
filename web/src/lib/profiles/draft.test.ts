import { describe, expect, it } from 'vitest';
import type { ProfileConfig } from '$lib/api';
import { changesOf, withEffect } from './changes';
import { emptyConfig, readDraft, suggestedName, toDraft, type Draft } from './draft';

const full: ProfileConfig = {
  name: 'coder',
  model: 'org/model',
  description: 'For the editor',
  host: '127.0.0.1',
  port: 10240,
  ttl_seconds: -1,
  queue_timeout_seconds: 60,
  queue_size: 8,
  is_pinned: true,
  auto_start: false,
  log_level: 'debug',
  load: {
    context_length: 4096,
    kv_pool_tokens: 8192,
    kv_cache_dtype: 'int8',
    tool_call_parser: 'hermes',
    draft_model: 'org/draft',
  },
  request: {
    temperature: 0,
    stop: ['\n'],
    thinking: 'low',
    logit_bias: { '17': -100 },
    system_prompt: 'Be short.',
  },
};

function edited(config: ProfileConfig, texts: Record<string, string>): Draft {
  const draft = toDraft(config);
  return { ...draft, texts: { ...draft.texts, ...texts } };
}

describe('draft', () => {
  it('reads back what it was made from, with what the form does not show', () => {
    expect(readDraft(toDraft(full))).toEqual({ config: full, errors: {} });
  });

  it('leaves out empty fields, so that the defaults apply', () => {
    const { config } = readDraft(edited(full, { port: '', 'request.stop': '', 'load.context_length': ' ' }));
    expect(config).not.toHaveProperty('port');
    expect(config.request).not.toHaveProperty('stop');
    expect(config.load).not.toHaveProperty('context_length');
  });

  it('does not change the configuration that it was made from', () => {
    const before = structuredClone(full);
    readDraft(edited(full, { 'load.context_length': '8k', name: 'other' }));
    expect(full).toEqual(before);
  });

  it('names a missing name and model', () => {
    const { errors } = readDraft(toDraft(emptyConfig()));
    expect(errors).toEqual({ name: 'Enter a name.', model: 'Choose a model.' });
  });

  it('keeps the saved value of a field with an error', () => {
    const { config, errors } = readDraft(edited(full, { 'request.temperature': 'hot' }));
    expect(errors['request.temperature']).toBeDefined();
    expect(config.request?.temperature).toBe(0);
  });

  it('compares the cache with the context, and the step with the sequences', () => {
    const texts = { 'load.kv_pool_tokens': '1k', 'load.max_batch_tokens': '15' };
    const { errors } = readDraft(edited(full, texts));
    expect(errors['load.kv_pool_tokens']).toContain('4096');
    expect(errors['load.max_batch_tokens']).toContain('16');
  });

  it('has a color as a number, which changes name', () => {
    const colored: ProfileConfig = { ...full, color: 3 };
    expect(readDraft(toDraft(colored)).config.color).toBe(3);
    expect(readDraft(edited(colored, { color: '2' })).config.color).toBe(2);
    const [change] = changesOf(colored, { ...colored, color: 2 });
    expect(change).toMatchObject({ label: 'Color', before: 'Green', after: 'Orange', effect: 'immediate' });
    expect(readDraft(edited(colored, { color: '9' })).errors['color']).toContain('1 to 8');
  });

  it('suggests a name that is free', () => {
    expect(suggestedName('org/Qwen3-8B', new Set())).toBe('Qwen3-8B');
    expect(suggestedName('org/Qwen3-8B', new Set(['Qwen3-8B', 'Qwen3-8B 2']))).toBe('Qwen3-8B 3');
    expect(suggestedName('', new Set())).toBe('');
  });
});

describe('changes', () => {
  it('are none for equal configurations, however defaults are written', () => {
    const spelled: ProfileConfig = { ...full, load: { ...full.load, device: null, adapters: [] } };
    expect(changesOf(full, spelled)).toEqual([]);
  });

  it('have both values and the time of their effect', () => {
    const after: ProfileConfig = {
      ...full,
      auto_start: true,
      load: { ...full.load, context_length: 8192, kv_cache_dtype: undefined },
      request: { ...full.request, temperature: 0.7, thinking: false },
    };
    const changes = changesOf(full, after);
    expect(withEffect(changes, 'restart')).toEqual([
      {
        path: 'load.context_length',
        label: 'Context length',
        before: '4096 tokens',
        after: '8192 tokens',
        effect: 'restart',
      },
      {
        path: 'load.kv_cache_dtype',
        label: 'KV cache data type',
        before: 'int8: half the memory of f16',
        after: 'f16, or f32 with f32 activations',
        effect: 'restart',
      },
    ]);
    expect(withEffect(changes, 'immediate').map((each) => [each.before, each.after])).toEqual([
      ['0', '0.7'],
      ['Low effort', 'Off'],
    ]);
    expect(withEffect(changes, 'start').map((each) => each.path)).toEqual(['auto_start']);
  });
});

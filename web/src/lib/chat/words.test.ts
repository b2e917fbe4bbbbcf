import { describe, expect, it } from 'vitest';

import type { Usage } from '$lib/api';

import { run } from './testing';
import { completeText, endingText, metrics, progressText, thoughtText, tokensPerSecond, waitingText } from './words';

const plain = (text: string | null): string | null => text?.replaceAll('\u00a0', ' ') ?? null;

const usage: Usage = {
  prompt_tokens: 1_000,
  cached_tokens: 980,
  completion_tokens: 101,
  queue_ms: 10,
  time_to_first_token_ms: 310,
  reasoning_ms: null,
  duration_ms: 2_820,
};

describe('a run that waits', () => {
  it('says for what, how far it is and how long it takes', () => {
    const download = { for: 'download' as const, done: 3e8, of: 6e8 };
    expect(plain(waitingText(download, 'Qwen', 40_000))).toBe(
      'Starting in about 40 s. 300.0 MB of 600.0 MB downloaded.',
    );
    expect(plain(waitingText(download, 'Qwen', 500))).toBe(
      'Waiting for the download of Qwen. 300.0 MB of 600.0 MB downloaded.',
    );
    expect(waitingText({ for: 'start' }, 'Qwen', null)).toBe('Qwen is starting.');
    expect(waitingText({ for: 'memory', holder: 'GLM' }, 'Qwen', null)).toBe('Waiting for memory, which GLM uses.');
    expect(waitingText({ for: 'queue' }, 'Qwen', null)).toBe(
      'Waiting until Qwen is free: it is busy with other responses.',
    );
  });

  it('says how much of the prompt is read, and nothing once there is text', () => {
    const reading = run('m', { state: 'prefill', prefill: { computed: 512, cached: 0, of: 2_048 } });
    expect(plain(progressText(reading, 5))).toBe('Reading the prompt: 512 of 2,048 tokens.');
    expect(progressText(run('m'), 5)).toBe('Sending to tiny.');
    expect(progressText(run('m', { state: 'generating' }), 5)).toBeNull();
  });
});

describe('the numbers of a response', () => {
  it('are those of its usage', () => {
    expect(tokensPerSecond(usage)).toBe(40);
    expect(metrics(usage).map(({ text }) => plain(text))).toEqual([
      'TTFT 0.31 s',
      '40.0 tok/s',
      '101 tokens',
      '98% cached',
    ]);
    expect(metrics({ ...usage, queue_ms: 4_000 }).map(({ text }) => plain(text))).toContain('waited 4.0 s');
  });

  it('leave out what is not known', () => {
    const none = { ...usage, prompt_tokens: 0, completion_tokens: 1, time_to_first_token_ms: null };
    expect(metrics(none).map(({ text }) => plain(text))).toEqual(['1 token']);
  });
});

it('an end that is not normal is explained', () => {
  expect(endingText('stop', 5)).toBeNull();
  expect(plain(endingText('stopped', 1_204))).toBe('Stopped after 1,204 tokens.');
  expect(plain(endingText('interrupted', null))).toBe('Interrupted: the gateway exited. The text is kept.');
});

it('thinking has a time once it is known', () => {
  expect(thoughtText(null, null, true)).toBe('Thinking');
  expect(plain(thoughtText(12_400, 840, false))).toBe('Thought for 12 s, 840 tokens');
  expect(plain(thoughtText(100, null, true))).toBe('Thinking for 1 s');
});

it('a screen reader hears how long a response is', () => {
  expect(plain(completeText({ state: 'complete' }, ' one\n two '))).toBe('Response complete, 2 words');
  expect(completeText({ state: 'failed' }, 'half')).toBe('Response failed');
});

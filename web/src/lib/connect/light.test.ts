import { expect, it } from 'vitest';

import { integer } from '$lib/format';

import { light } from './light';
import { activity } from './testing';

it('waits until there is a request', () => {
  expect(light(undefined, 65_536)).toMatchObject({ tone: 'neutral', label: 'Waiting for the first request' });
});

it('shows the prompt of the last request, and how much of it was cached', () => {
  expect(light(activity('codex', {}, { prompt_tokens: 31_402 }), 65_536)).toEqual({
    tone: 'ok',
    label: 'Connected',
    detail: `${integer(31_402)}\u00a0tokens in, 0 cached`,
  });
  const second = activity('codex', { requests: 2 }, { prompt_tokens: 1_000, cached_tokens: 980 });
  expect(light(second, null).detail).toBe(`${integer(1_000)}\u00a0tokens in, 98% cached`);
  const counted = activity('codex', { requests: 3 }, { prompt_tokens: null, cached_tokens: null });
  expect(light(counted, null).detail).toBe('3\u00a0requests');
});

it('warns when prompts fill the context', () => {
  const full = activity('codex', { longest_prompt_tokens: 60_000 });
  expect(light(full, 65_536)).toMatchObject({ tone: 'warn', label: 'Context nearly full' });
  expect(light(full, 131_072).tone).toBe('ok');
  expect(light(full, null).tone).toBe('ok');
});

it('names the error of the last request, but not a disconnect', () => {
  const failed = activity('codex', {}, { status: 404, error_kind: 'model_not_found' });
  expect(light(failed, null)).toMatchObject({ tone: 'bad', detail: 'model_not_found' });
  expect(light(activity('codex', {}, { status: 400 }), null).detail).toBe('status 400');
  expect(light(activity('codex', {}, { status: 499 }), null).tone).toBe('ok');
});

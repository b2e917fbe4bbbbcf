import { expect, it } from 'vitest';
import { clientName, generatedText, nameOf, promptText, stage } from './live-words';
import { liveRequest, plain } from './testing';

const NOTHING = { prompt_tokens: null, cached_tokens: null, computed_tokens: null, completion_tokens: null };

it('say what a request is doing', () => {
  const labels = (['waiting', 'queued', 'prefill', 'decode', 'running'] as const).map(
    (state) => stage(liveRequest({ state })).label,
  );
  expect(labels).toEqual(['Waiting', 'Queued', 'Prompt', 'Generating', 'Running']);
  expect(plain(stage(liveRequest({ state: 'prefill', computed_tokens: 600 })).detail)).toBe('50%');
  expect(stage(liveRequest({ state: 'prefill', ...NOTHING })).detail).toBeNull();
});

it('have a dash for what is not counted yet', () => {
  expect(plain(promptText(liveRequest()))).toBe('1,200, 75% cached');
  expect(promptText(liveRequest({ cached_tokens: 0 }))).toBe('1,200');
  expect(generatedText(liveRequest())).toBe('20');
  expect([promptText(liveRequest(NOTHING)), generatedText(liveRequest(NOTHING))]).toEqual(['–', '–']);
});

it('name what the client asked for, and the client', () => {
  expect(nameOf(liveRequest())).toBe('tiny');
  expect(nameOf(liveRequest({ requested: null, profile: 'coder' }))).toBe('coder');
  expect(nameOf(liveRequest({ requested: null }))).toBe('mlx-community/Tiny-4bit');
  const client = (name: string | null) => clientName(liveRequest({ client: name }));
  expect(client('editor/1.0 (Linux)')).toBe('editor');
  expect(client('OpenAI/Python 1.2')).toBe('OpenAI/Python');
  expect([client(null), client(' ')]).toEqual(['–', '–']);
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { body, snippet, type Language, type RequestParts } from './snippets';

const parts: RequestParts = {
  origin: 'http://127.0.0.1:8080',
  model: 'coder',
  system: "Don't guess.",
  messages: [{ role: 'user', content: 'Say "hi"\n$(exit)' }],
  settings: { temperature: 0, top_k: 20, thinking: false },
};

describe('the body', () => {
  it('has the system prompt where the protocol wants it', () => {
    expect(body('openai', parts)).toEqual({
      model: 'coder',
      messages: [
        { role: 'system', content: "Don't guess." },
        { role: 'user', content: 'Say "hi"\n$(exit)' },
      ],
      temperature: 0,
      top_k: 20,
      chat_template_kwargs: { enable_thinking: false },
      stream: true,
    });
    expect(body('anthropic', parts)).toMatchObject({ system: "Don't guess.", max_tokens: 4096 });
    expect(body('anthropic', { ...parts, system: '', settings: { max_tokens: 5 } })).toEqual({
      model: 'coder',
      max_tokens: 5,
      messages: parts.messages,
      stream: true,
    });
  });
});

describe('a snippet', () => {
  it('of curl survives quotes in texts', () => {
    const text = snippet('curl', 'openai', parts);
    const quoted = /-d '([\s\S]*)'$/.exec(text)?.[1] ?? '';
    expect(JSON.parse(quoted.replaceAll("'\\''", "'"))).toEqual(body('openai', parts));
    expect(snippet('curl', 'anthropic', parts)).toContain('/v1/messages');
  });

  it('of Python has the words of Python', () => {
    const text = snippet('python', 'openai', parts);
    expect(text).toContain('"enable_thinking": False,');
    expect(text).toContain('    stream=True,');
    expect(text).toContain('base_url="http://127.0.0.1:8080/v1"');
    expect(snippet('python', 'anthropic', parts)).toContain('max_tokens=4096,');
  });

  it('of TypeScript has an object that can be read', () => {
    const text = snippet('typescript', 'openai', { ...parts, settings: { temperature: 0 } });
    const object = /create\(([\s\S]*)\);\nfor/.exec(text)?.[1] ?? '';
    expect(JSON.parse(object)).toEqual(body('openai', { ...parts, settings: { temperature: 0 } }));
    expect(snippet('typescript', 'anthropic', parts)).toContain('client.messages.stream({');
  });
});

/** The tests of clients run these files against a gateway. */
const FILES = new URL('../../../../tests/clients/chat/', import.meta.url);

describe('a snippet with many settings', () => {
  const long: RequestParts = {
    origin: 'http://127.0.0.1:8080',
    model: 'starter',
    system: 'Be brief.',
    messages: [{ role: 'user', content: 'Say "hello", and don\'t stop.' }],
    settings: {
      temperature: 0,
      top_p: 0.9,
      top_k: 20,
      min_p: 0.05,
      repetition_penalty: 1.1,
      logit_bias: { '2': -100 },
      seed: 7,
      stop: ['\n\n\n'],
      max_tokens: 16,
      thinking: false,
    },
  };
  const endings: Record<Language, string> = { curl: 'sh', python: 'py', typescript: 'mjs' };

  it.each(['openai', 'anthropic'] as const)('is one that was run, in the API of %s', (protocol) => {
    for (const language of ['curl', 'python', 'typescript'] as const) {
      const file = readFileSync(new URL(`${protocol}.${endings[language]}`, FILES), 'utf8');
      expect(`${snippet(language, protocol, long)}\n`).toBe(file);
    }
  });
});

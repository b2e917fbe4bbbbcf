// A request of a chat as a program would send it: curl, Python and TypeScript, in the protocol that the chat uses. No Svelte inside.

import type { ChatProtocol, RequestSettings } from '$lib/api';

import { fieldsOf, type Fields, type Json } from './request-fields';

export type Language = 'curl' | 'python' | 'typescript';

/** What a request consists of, whatever its protocol. */
export interface RequestParts {
  /** Of the gateway, such as `http://127.0.0.1:8080`. */
  origin: string;
  model: string;
  system: string;
  messages: readonly { role: 'user' | 'assistant'; content: string }[];
  settings: RequestSettings;
}

/** The Messages API requires a limit. */
const DEFAULT_MAX_TOKENS = 4096;

/** Arguments that the SDKs have. What else the gateway reads is sent with them. */
const ARGUMENTS: Readonly<Record<ChatProtocol, ReadonlySet<string>>> = {
  openai: new Set([
    'model',
    'messages',
    'temperature',
    'top_p',
    'presence_penalty',
    'frequency_penalty',
    'logit_bias',
    'seed',
    'stop',
    'max_tokens',
    'reasoning_effort',
  ]),
  anthropic: new Set(['model', 'max_tokens', 'system', 'messages', 'stop_sequences', 'thinking', 'output_config']),
};

export const languages: { value: Language; label: string }[] = [
  { value: 'curl', label: 'curl' },
  { value: 'python', label: 'Python' },
  { value: 'typescript', label: 'TypeScript' },
];

/** The body of the request. */
export function body(protocol: ChatProtocol, parts: RequestParts): Fields {
  const { model, system } = parts;
  const messages = parts.messages.map(({ role, content }) => ({ role, content }));
  const fields = fieldsOf(protocol, parts.settings);
  if (protocol === 'anthropic') {
    const { max_tokens = DEFAULT_MAX_TOKENS, ...others } = fields;
    return { model, max_tokens, ...(system === '' ? {} : { system }), messages, ...others, stream: true };
  }
  const first = system === '' ? [] : [{ role: 'system', content: system }];
  return { model, messages: [...first, ...messages], ...fields, stream: true };
}

export function snippet(language: Language, protocol: ChatProtocol, parts: RequestParts): string {
  const request = body(protocol, parts);
  if (language === 'curl') return curl(protocol, parts.origin, request);
  const { stream: _, ...others } = request;
  const options = split(protocol, others);
  return language === 'python' ? python(protocol, parts.origin, options) : typescript(protocol, parts.origin, options);
}

/** The arguments of an SDK, and what it sends in addition. */
interface Options {
  own: Fields;
  extra: Fields;
}

function split(protocol: ChatProtocol, request: Fields): Options {
  const isOwn = ([name]: [string, Json]): boolean => ARGUMENTS[protocol].has(name);
  const all = Object.entries(request);
  return {
    own: Object.fromEntries(all.filter(isOwn)),
    extra: Object.fromEntries(all.filter((entry) => !isOwn(entry))),
  };
}

function curl(protocol: ChatProtocol, origin: string, request: Fields): string {
  const path = protocol === 'openai' ? '/v1/chat/completions' : '/v1/messages';
  const headers = protocol === 'openai' ? [] : ["-H 'anthropic-version: 2023-06-01'"];
  const data = JSON.stringify(request, null, 2).replaceAll("'", "'\\''");
  return [`curl -N ${origin}${path}`, "-H 'content-type: application/json'", ...headers, `-d '${data}'`].join(
    ' \\\n  ',
  );
}

function python(protocol: ChatProtocol, origin: string, { own, extra }: Options): string {
  const all = Object.keys(extra).length === 0 ? own : { ...own, extra_body: extra };
  const options = Object.entries(all).map(([name, value]) => `    ${name}=${pythonValue(value, 1)},`);
  if (protocol === 'openai') {
    return [
      'from openai import OpenAI',
      '',
      `client = OpenAI(base_url=${JSON.stringify(`${origin}/v1`)}, api_key="none")`,
      'stream = client.chat.completions.create(',
      ...options,
      '    stream=True,',
      ')',
      'for chunk in stream:',
      '    if chunk.choices:',
      '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    ].join('\n');
  }
  return [
    'from anthropic import Anthropic',
    '',
    `client = Anthropic(base_url=${JSON.stringify(origin)}, api_key="none")`,
    'with client.messages.stream(',
    ...options,
    ') as stream:',
    '    for text in stream.text_stream:',
    '        print(text, end="", flush=True)',
  ].join('\n');
}

function typescript(protocol: ChatProtocol, origin: string, options: Options): string {
  if (protocol === 'openai') {
    return [
      "import OpenAI from 'openai';",
      '',
      `const client = new OpenAI({ baseURL: ${JSON.stringify(`${origin}/v1`)}, apiKey: 'none' });`,
      `const stream = await client.chat.completions.create(${typescriptObject(options, ['"stream": true'])});`,
      'for await (const chunk of stream) {',
      "  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');",
      '}',
    ].join('\n');
  }
  return [
    "import Anthropic from '@anthropic-ai/sdk';",
    '',
    `const client = new Anthropic({ baseURL: ${JSON.stringify(origin)}, apiKey: 'none' });`,
    `const stream = client.messages.stream(${typescriptObject(options, [])});`,
    "stream.on('text', (text) => process.stdout.write(text));",
    'await stream.finalMessage();',
  ].join('\n');
}

/** What the types of the package do not have is spread, so that they accept it. */
function typescriptObject({ own, extra }: Options, more: readonly string[]): string {
  const nested = (value: Json): string => JSON.stringify(value, null, 2).replaceAll('\n', '\n  ');
  const lines = Object.entries(own).map(([name, value]) => `${JSON.stringify(name)}: ${nested(value)}`);
  const spread = Object.keys(extra).length === 0 ? [] : [`...${nested(extra)}`];
  return `{\n${[...lines, ...spread, ...more].map((line) => `  ${line}`).join(',\n')}\n}`;
}

/** JSON is Python but for three words; strings of JSON are strings of Python. */
function pythonValue(value: Json, depth: number): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value !== 'object') return JSON.stringify(value);
  const isList = Array.isArray(value);
  const entries = isList
    ? value.map((each: Json) => pythonValue(each, depth + 1))
    : Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${pythonValue(each, depth + 1)}`);
  const [open, close] = isList ? ['[', ']'] : ['{', '}'];
  if (entries.length === 0) return `${open}${close}`;
  const indent = '    '.repeat(depth + 1);
  return `${open}\n${entries.map((entry) => `${indent}${entry},\n`).join('')}${'    '.repeat(depth)}${close}`;
}

import { expect, it } from 'vitest';

import type { Receipt } from '$lib/api';

import { requestParts } from './request-parts';
import { chat, question, response } from './testing';

const file = { type: 'attachment' as const, hash: 'h', name: 'a.rs', media_type: 'text/x-rust', size_bytes: 4 };
const path = [
  question('1', 'Why?', { content: [file, { type: 'text', text: 'Why?' }] }),
  response('2', 'Because.', { parent_id: '1' }),
  question('3', 'Really?', { parent_id: '2' }),
  response('4', 'Yes.', { parent_id: '3' }),
];
const config = chat('c', { settings: { temperature: 0, stop: [], thinking: false, max_tokens: null } });

it('has the messages before the response, and what the chat sets', () => {
  expect(requestParts('http://h', path, path[3], config, 'Be brief.')).toEqual({
    origin: 'http://h',
    model: 'tiny',
    system: 'Be brief.',
    messages: [
      { role: 'user', content: '[a.rs]\nWhy?' },
      { role: 'assistant', content: 'Because.' },
      { role: 'user', content: 'Really?' },
    ],
    settings: config.settings,
  });
  expect(requestParts('http://h', path, undefined, config, '').messages).toHaveLength(4);
});

it('has what the receipt says, if there is one', () => {
  const receipt = { model: 'Coder', request: { top_p: 0.9 }, system_prompt: 'Old.', seed: 7 } as Receipt;
  const message = { ...response('4', 'Yes.', { parent_id: '3' }), receipt };
  expect(requestParts('http://h', [...path.slice(0, 3), message], message, config, '')).toMatchObject({
    model: 'Coder',
    system: 'Old.',
    settings: { top_p: 0.9, seed: 7 },
  });
});

import { expect, it, vi } from 'vitest';

import { chatPath } from './url';

vi.mock('$app/navigation', () => ({ goto: vi.fn() }));
vi.mock('$app/state', () => ({ page: { url: new URL('http://localhost/chat') } }));

const from = (path: string): URL => new URL(path, 'http://localhost');

it('another chat keeps the list and the panel, and not the model of a new chat', () => {
  expect(chatPath('b', from('/chat/a?q=red%20fox&tag=work&chats=all&panel=log'))).toBe(
    '/chat/b?q=red+fox&tag=work&chats=all&panel=log',
  );
  expect(chatPath('b', from('/chat?model=tiny'))).toBe('/chat/b');
  expect(chatPath(null, from('/chat/a?chats=all'))).toBe('/chat?chats=all');
});

it('from another page, a chat is opened without its parameters', () => {
  expect(chatPath('b', from('/models?q=red'))).toBe('/chat/b');
  expect(chatPath('b', from('/chats?q=red'))).toBe('/chat/b');
});

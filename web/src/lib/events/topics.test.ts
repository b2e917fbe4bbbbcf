import { expect, it } from 'vitest';

import { chatTopic, isStreamEvent, logTopic, MAX_TOPICS, replaceKey, topicOf, union } from './topics';
import { loading, logLine, notice, progress, reset, running } from './testing';

it('names the topic under which a client gets an event', () => {
  expect(topicOf(notice('a'))).toBe('notices');
  expect(topicOf(logLine(null, 1))).toBe('logs:gateway');
  expect(topicOf(logLine('7', 1))).toBe(logTopic('7'));
  expect(topicOf({ topic: 'chat', event: { id: '7', type: 'deleted' } })).toBe(chatTopic('7'));
  expect(topicOf(reset(['pool']))).toBeNull();
});

it('replaces measurements of the same subject only', () => {
  expect(replaceKey(loading('a', 1))).toBe(replaceKey(loading('a', 2)));
  expect(replaceKey(loading('a', 1))).not.toBe(replaceKey(loading('b', 1)));
  expect(replaceKey(loading('a', 1))).not.toBe(replaceKey(running('a', 1)));
  expect(replaceKey(progress('a', 1))).toBe(replaceKey(progress('a', 2)));
  const requests = (server: string) => replaceKey({ topic: 'requests', event: { server, requests: [] } });
  expect(requests('a')).toBe(requests('a'));
  expect(requests('a')).not.toBe(requests('b'));
  expect(replaceKey(notice('a'))).toBeNull();
  expect(replaceKey(logLine(null, 1))).toBeNull();
});

it('joins topics to a sorted list', () => {
  expect(union([['pool', 'logs:a'], [], ['audit', 'pool']])).toEqual(['audit', 'logs:a', 'pool']);
});

it('leaves out the oldest logs beyond the limit of the gateway', () => {
  const logs = Array.from({ length: 100 }, (_, index) => logTopic(String(index)));
  const topics = union([['servers'], logs]);
  expect(topics).toHaveLength(MAX_TOPICS);
  expect(topics).toContain('servers');
  expect(topics).toContain('logs:99');
  expect(topics).not.toContain('logs:0');
});

it('knows events by their topic', () => {
  expect(isStreamEvent({ topic: 'pool', event: {} })).toBe(true);
  for (const value of [null, 1, 'pool', [], { topic: 1, event: 1 }, { topic: 'pool' }]) {
    expect(isStreamEvent(value)).toBe(false);
  }
});

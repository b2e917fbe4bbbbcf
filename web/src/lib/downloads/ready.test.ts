import { expect, test } from 'vitest';
import { readyOf } from './ready';

test('a model is started when it is downloaded and listed', () => {
  expect(readyOf({ state: 'running', isComplete: false })).toBe('wait');
  expect(readyOf({ state: 'done', isComplete: false })).toBe('wait');
  expect(readyOf({ state: 'done', isComplete: true })).toBe('start');
  expect(readyOf({ state: null, isComplete: true })).toBe('start');
  expect(readyOf({ state: null, isComplete: false })).toBe('wait');
});

test('an update of a complete model is waited for', () => {
  expect(readyOf({ state: 'verifying', isComplete: true })).toBe('wait');
});

test('a failed download can be tried again, a cancelled one is forgotten', () => {
  expect(readyOf({ state: 'failed', isComplete: false })).toBe('wait');
  expect(readyOf({ state: 'cancelled', isComplete: true })).toBe('forget');
});

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { toasts } from './toasts.svelte';

const titles = () => toasts.list.map(({ title }) => title);

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  toasts.release();
  for (const { id } of [...toasts.list]) toasts.dismiss(id);
  vi.useRealTimers();
});

it('disappears after five seconds, and after eight with a button', () => {
  toasts.add({ title: 'Copied' });
  toasts.add({ title: 'Deleted', undo: () => undefined });
  vi.advanceTimersByTime(5000);
  expect(titles()).toEqual(['Deleted']);
  vi.advanceTimersByTime(3000);
  expect(titles()).toEqual([]);
});

it('a failure stays until it is dismissed', () => {
  const id = toasts.problem({ title: 'Not stopped', detail: 'It has 2 running requests.', advice: 'Wait for them.' });
  vi.advanceTimersByTime(600_000);
  expect(toasts.list[0]?.detail).toBe('It has 2 running requests. Wait for them.');
  toasts.dismiss(id);
  expect(titles()).toEqual([]);
});

it('none disappears while the pointer is on them', () => {
  toasts.add({ title: 'Copied' });
  toasts.hold();
  vi.advanceTimersByTime(60_000);
  expect(titles()).toEqual(['Copied']);
  toasts.release();
  vi.advanceTimersByTime(5000);
  expect(titles()).toEqual([]);
});

it('shows the last four', () => {
  for (const title of ['1', '2', '3', '4', '5']) toasts.add({ title });
  expect(titles()).toEqual(['2', '3', '4', '5']);
});

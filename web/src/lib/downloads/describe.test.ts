import { expect, test } from 'vitest';
import type { Download, DownloadState } from '$lib/api';
import { actions, busyText, describe, doneRatio, hasEnded, moved } from './describe';

function download(state: DownloadState, more: Partial<Download> = {}): Download {
  return {
    id: '018f0000-0000-7000-8000-000000000000',
    repo_id: 'a/b',
    revision: 'main',
    state,
    done_bytes: 0,
    created_at_ms: 0,
    ...more,
  };
}

const running = download('running', {
  done_bytes: 0.25e9,
  total_bytes: 1e9,
  bytes_per_second: 25e6,
});

test('a running download tells its amounts, speed and time left', () => {
  const { state, tone, progress, done } = describe(running);
  expect([state, tone, done]).toEqual(['Downloading', 'brand', 0.25]);
  expect(progress).toMatch(/of 1\.0\sGB · .*\/s · .*left$/);
});

test('amounts that are not known are left out', () => {
  expect(describe(download('checking')).progress).toBe('');
  expect(describe(download('checking')).done).toBeNull();
  expect(describe({ ...running, bytes_per_second: 0 }).progress).not.toMatch('left');
  expect(describe({ ...running, state: 'paused' }).progress).not.toMatch('/s');
});

test('a waiting download tells what it waits for', () => {
  expect(describe(download('waiting', { waiting_for: 'disk' })).state).toBe('Waiting for disk space');
  expect(describe(download('waiting')).state).toBe('Waiting');
});

test('more bytes than expected are not more than all', () => {
  expect(doneRatio({ ...running, done_bytes: 2e9 })).toBe(1);
  expect(doneRatio(download('done'))).toBe(1);
});

test('every state has actions', () => {
  const ended: DownloadState[] = ['done', 'failed', 'cancelled'];
  for (const state of ended) {
    expect(actions(download(state))).toContain('dismiss');
    expect(hasEnded(download(state))).toBe(true);
  }
  for (const state of ['queued', 'checking', 'running', 'verifying', 'waiting', 'paused'] as const) {
    expect(actions(download(state))).toContain('cancel');
    expect(hasEnded(download(state))).toBe(false);
  }
});

test('a download moves by one place', () => {
  expect(moved(['a', 'b', 'c'], 'b', -1)).toEqual(['b', 'a', 'c']);
  expect(moved(['a', 'b', 'c'], 'b', 1)).toEqual(['a', 'c', 'b']);
  expect(moved(['a', 'b'], 'a', -1)).toBeNull();
  expect(moved(['a', 'b'], 'b', 1)).toBeNull();
  expect(moved(['a'], 'x', 1)).toBeNull();
});

test('a model in the queue says so instead of a second download', () => {
  expect(busyText(undefined)).toBeNull();
  expect(busyText(download('done'))).toBeNull();
  expect(busyText(running)).toBe('Downloading, 25%');
  expect(busyText(download('queued'))).toBe('Queued');
});

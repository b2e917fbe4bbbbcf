import { expect, test } from 'vitest';
import type { LocalModel, RemoteModel } from '$lib/api';
import { changedSinceMs } from './revisions';

const at = Date.parse('2026-03-01T00:00:00Z');

function model(...times: number[]): LocalModel {
  return {
    revisions: times.map((time) => ({
      commit: String(time),
      refs: [],
      size_bytes: 1,
      complete: true,
      modified_at_ms: time,
    })),
  } as unknown as LocalModel;
}

const remote = (time: string | null) => ({ last_modified: time }) as RemoteModel;

test('a repository that was changed after the newest revision has an update', () => {
  const later = '2026-03-02T00:00:00.000Z';
  expect(changedSinceMs(model(at - 5, at), remote(later))).toBe(Date.parse(later));
  expect(changedSinceMs(model(at), remote('2026-02-01T00:00:00.000Z'))).toBeNull();
});

test('nothing is claimed of times that are not known', () => {
  expect(changedSinceMs(model(at), null)).toBeNull();
  expect(changedSinceMs(model(at), remote(null))).toBeNull();
  expect(changedSinceMs(model(at), remote('soon'))).toBeNull();
  expect(changedSinceMs(model(), remote('2026-03-02T00:00:00.000Z'))).toBeNull();
});

import { expect, test } from 'vitest';
import { startReason } from './can-start';
import { localModel } from './testing';

const model = localModel('a/b', { characteristics: { kind: 'text', badges: [], supported: true } });

test('a complete model of a supported architecture can be started', () => {
  expect(startReason(model)).toBeNull();
});

test('anything else has a reason', () => {
  const one = { complete: false, missing_files: ['model.safetensors'] };
  expect(startReason(null)).toMatch('not on this machine');
  expect(startReason({ ...model, ...one })).toMatch(/^1 file is missing/);
  expect(startReason({ ...model, ...one, missing_files: ['a', 'b'] })).toMatch(/^2 files are missing/);
  expect(startReason({ ...model, complete: false })).toMatch(/^Files are missing/);
  expect(startReason({ ...model, characteristics: null })).toMatch('not readable');
  const unsupported = { kind: 'text' as const, badges: [], supported: false, unsupported_reason: 'no such layer' };
  expect(startReason({ ...model, characteristics: unsupported })).toBe('no such layer');
});

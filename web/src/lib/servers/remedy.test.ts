import { describe, expect, it } from 'vitest';
import { remedy, smallerContext, withContext } from './remedy';
import { failed } from './testing';

describe('remedy', () => {
  it('offers the next smaller context after a kill for memory', () => {
    expect(remedy(failed('killed_externally', { context_length: 32_768 }))).toEqual({
      type: 'smaller_context',
      contextLength: 16_384,
    });
    const message =
      'tiny exited 5 times within 5 minutes; the last time: killed by another process, most likely by the OS for lack of memory';
    const loop = failed('crash_loop', { context_length: 10_000 }, message);
    expect(remedy(loop)).toEqual({ type: 'smaller_context', contextLength: 8_192 });
  });

  it('starts again where the context is small already, and after other crashes', () => {
    expect(remedy(failed('killed_externally', { context_length: 4_096 }))).toEqual({ type: 'start' });
    for (const code of ['crashed', 'hung', 'start_timeout', 'crash_loop', 'io', 'a_new_code'])
      expect(remedy(failed(code))).toEqual({ type: 'start' });
  });

  it('leads to the model or the profile where the same start would fail again', () => {
    expect(remedy(failed('corrupt_weights'))).toEqual({ type: 'check_model' });
    const option = failed('invalid_option');
    expect(remedy(option)).toEqual({ type: 'start' });
    option.profiles = ['coder'];
    expect(remedy(option)).toEqual({ type: 'edit_profile', profile: 'coder' });
  });
});

describe('contexts', () => {
  it('are those that the gateway chooses from', () => {
    expect([200_000, 131_072, 8_193, 8_192, 4_096, 100].map(smallerContext)).toEqual([
      131_072,
      65_536,
      8_192,
      4_096,
      null,
      null,
    ]);
  });

  it('replace the size of the cache', () => {
    const settings = { context_length: 32_768, kv_pool_tokens: 65_536, max_sequences: 4 };
    expect(withContext(settings, 16_384)).toEqual({ context_length: 16_384, max_sequences: 4 });
  });
});

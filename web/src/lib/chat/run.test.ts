import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { Message, RunEvent } from '$lib/api';

import { apply, begin, hasEnded, hasGap, merge, textOf, type LiveRun } from './run';
import { recorded, response, run, type RunEventBody } from './testing';

const usage = { prompt_tokens: 9, cached_tokens: 4, completion_tokens: 3, queue_ms: 1, duration_ms: 9 };
const id = 'run-m';

const body: fc.Arbitrary<RunEventBody> = fc.oneof(
  fc.record({ type: fc.constant('waiting' as const), for: fc.constant('start' as const), done: fc.nat(9) }),
  fc.record({ type: fc.constant('prefill' as const), computed: fc.nat(9), cached: fc.nat(9), of: fc.nat(9) }),
  fc.record({ type: fc.constantFrom('reasoning' as const, 'text' as const), text: fc.string({ unit: 'grapheme' }) }),
  fc.record({
    type: fc.constant('tool_call' as const),
    index: fc.nat(2),
    id: fc.constantFrom('a', 'b', 'c'),
    arguments: fc.string(),
  }),
  fc.record({ type: fc.constantFrom('approval' as const, 'tool_result' as const), id: fc.constantFrom('a', 'b') }),
  fc.record({ type: fc.constant('usage' as const), usage: fc.constant(usage) }),
);

/** A recorded run, which ends. */
const recordings = fc
  .array(body, { maxLength: 30 })
  .map((bodies) => recorded(id, [...bodies, { type: 'finished', reason: 'stop' }]));

const fresh = (): LiveRun => begin(run('m'), response('m', ''));
const all = (events: readonly RunEvent[], from: LiveRun = fresh()): LiveRun => events.reduce(apply, from);

/** The message as the gateway has it after these events. */
function messageOf(state: LiveRun): Message {
  const { reasoning, toolCalls, finish } = state;
  return response('m', state.text, { reasoning, tool_calls: [...toolCalls], finish_reason: finish });
}

describe('a run', () => {
  it('collects what its events say', () => {
    const events = recorded(id, [
      { type: 'waiting', for: 'start', done: 1, of: 4 },
      { type: 'prefill', computed: 8, cached: 4, of: 8 },
      { type: 'reasoning', text: 'Hm' },
      { type: 'reasoning', text: '.' },
      { type: 'tool_call', index: 0, id: 'a', name: 'read', arguments: '{"pa' },
      { type: 'tool_call', index: 0, id: 'a', arguments: 'th":1}' },
      { type: 'approval', id: 'a' },
      { type: 'tool_result', id: 'a', content: [{ type: 'text', text: 'ok' }], duration_ms: 14 },
      { type: 'text', text: 'Hel' },
      { type: 'text', text: 'lo' },
      { type: 'usage', usage },
      { type: 'finished', reason: 'stop' },
    ]);
    expect(all(events.slice(0, 1)).run).toMatchObject({ state: 'waiting', waiting: { for: 'start', done: 1, of: 4 } });
    expect(all(events.slice(0, 2)).run).toMatchObject({ state: 'prefill', waiting: null });
    expect([...all(events.slice(0, 7)).approvals]).toEqual(['a']);
    const end = all(events);
    expect(end).toMatchObject({ text: 'Hello', reasoning: 'Hm.', finish: 'stop' });
    expect(end.toolCalls).toEqual([{ id: 'a', name: 'read', arguments: '{"path":1}' }]);
    expect(end.results.get('a')).toEqual({ content: [{ type: 'text', text: 'ok' }], durationMs: 14 });
    expect(end.approvals.size).toBe(0);
    expect(end.run.usage).toEqual(usage);
    expect(hasEnded(end)).toBe(true);
  });

  it('keeps its text when it fails', () => {
    const problem = { type: 't', title: 'T', status: 503, detail: 'killed', code: 'worker_lost' };
    const end = all(
      recorded(id, [
        { type: 'text', text: 'Half' },
        { type: 'error', problem },
        { type: 'finished', reason: 'failed' },
      ]),
    );
    expect(end).toMatchObject({ text: 'Half', problem, finish: 'failed' });
  });

  it('goes on after the text that it continues', () => {
    const state = begin(run('m'), response('m', 'One'));
    expect(all(recorded(id, [{ type: 'text', text: ' two' }]), state).text).toBe('One two');
  });

  it('ignores events of other runs, and is the same object then', () => {
    const state = fresh();
    expect(apply(state, { run: 'other', seq: 1, type: 'text', text: 'x' })).toBe(state);
    const next = apply(state, { run: id, seq: 1, type: 'text', text: 'x' });
    expect(apply(next, { run: id, seq: 1, type: 'text', text: 'x' })).toBe(next);
  });

  it('knows that events are missing until they arrive', () => {
    const [first, second, third] = recorded(id, [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
      { type: 'finished', reason: 'stop' },
    ]) as [RunEvent, RunEvent, RunEvent];
    const gap = all([first, third]);
    expect([gap.text, hasGap(gap), hasEnded(gap)]).toEqual(['a', true, false]);
    const whole = apply(gap, second);
    expect([whole.text, hasGap(whole), hasEnded(whole)]).toEqual(['ab', false, true]);
  });
});

describe('any recorded run', () => {
  it('is the same in any order, with any events repeated', () => {
    fc.assert(
      fc.property(
        recordings.chain((events) =>
          fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length }), fc.subarray(events)),
        ),
        ([events, shuffled, repeated]) => {
          expect(all([...repeated, ...shuffled, ...repeated])).toEqual(all(events));
        },
      ),
    );
  });

  it('is the same for a tab that attaches after any event, whatever it has seen before', () => {
    fc.assert(
      fc.property(
        recordings.chain((events) => fc.tuple(fc.constant(events), fc.nat(events.length), fc.nat(events.length))),
        ([events, attached, seen]) => {
          const then = all(events.slice(0, attached));
          const snapshot = begin(then.run, messageOf(then));
          // What arrives while the snapshot is read is applied to what was there.
          const merged = merge(snapshot, all(events.slice(seen)));
          const end = all(events, merged);
          const expected = all(events);
          expect([end.text, end.reasoning, end.toolCalls]).toEqual([
            expected.text,
            expected.reasoning,
            expected.toolCalls,
          ]);
          expect([end.run, end.finish, end.early.size]).toEqual([expected.run, expected.finish, 0]);
        },
      ),
    );
  });

  it('never shows less after a snapshot than before', () => {
    fc.assert(
      fc.property(
        recordings.chain((events) => fc.tuple(fc.constant(events), fc.nat(events.length), fc.nat(events.length))),
        ([events, attached, seen]) => {
          const then = all(events.slice(0, attached));
          const before = all(events.slice(0, seen));
          const merged = merge(begin(then.run, messageOf(then)), before);
          expect(merged.run.seq).toBe(Math.max(attached, seen));
          expect(merged.text.length).toBe(Math.max(then.text.length, before.text.length));
        },
      ),
    );
  });
});

it('the text of a message leaves out its attachments', () => {
  const attachment = { type: 'attachment' as const, hash: 'h', name: 'n', media_type: 'text/plain', size_bytes: 1 };
  expect(textOf([{ type: 'text', text: 'a' }, attachment, { type: 'text', text: 'b' }])).toBe('ab');
});

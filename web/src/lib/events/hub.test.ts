import { describe, expect, it } from 'vitest';

import {
  ADD_DELAY_MS,
  Hub,
  LONGEST_DELAY_MS,
  REMOVE_DELAY_MS,
  retryDelay,
  SILENCE_MS,
  STABLE_MS,
  type HubAction,
  type HubInput,
} from './hub';
import { notice, reset } from './testing';

/** A hub with a clock, and what it did last. */
function hub() {
  const machine = new Hub();
  let nowMs = 1_000;
  const step = (input: HubInput): HubAction[] => machine.step(input, { nowMs, random: 0.5 });
  const open = (topics: string[]): void => {
    step({ type: 'topics', topics });
    step({ type: 'opened', connection: 1 });
  };
  return { machine, step, open, wait: (ms: number) => (nowMs += ms) };
}

const lost = { status: 0, code: 'unreachable', title: '', detail: '', advice: null };

function find<T extends HubAction['type']>(actions: HubAction[], type: T): Extract<HubAction, { type: T }> | undefined {
  return actions.find((action): action is Extract<HubAction, { type: T }> => action.type === type);
}

function delivered(actions: HubAction[]): unknown[] {
  return actions.filter((action) => action.type === 'deliver').map((action) => action.event);
}

describe('a connection', () => {
  it('is opened at once for the first topics, without an id', () => {
    const { step, machine } = hub();
    const actions = step({ type: 'topics', topics: ['pool', 'servers'] });
    expect(find(actions, 'open')).toMatchObject({ topics: ['pool', 'servers'], lastEventId: null });
    expect(machine.status.state).toBe('connecting');
    step({ type: 'opened', connection: 1 });
    expect(machine.status).toMatchObject({ state: 'live', topics: ['pool', 'servers'], downSinceMs: null });
  });

  it('is opened again with the last id, later after each failure', () => {
    const { step, open, wait, machine } = hub();
    open(['notices']);
    step({ type: 'frame', connection: 1, id: '1-5', event: null });
    const delays = [];
    for (let connection = 1; connection <= 8; connection += 1) {
      const actions = step({ type: 'closed', connection, problem: lost });
      delays.push(find(actions, 'start')?.ms);
      wait(100);
      const opened = find(step({ type: 'timer', name: 'retry' }), 'open');
      expect(opened).toMatchObject({ connection: connection + 1, lastEventId: '1-5' });
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(machine.status).toMatchObject({ state: 'connecting', downSinceMs: 1_000, problem: lost });
  });

  it('resets the delay only if it was stable', () => {
    const { step, open, wait } = hub();
    open(['notices']);
    const delay = (connection: number): number | undefined =>
      find(step({ type: 'closed', connection, problem: null }), 'start')?.ms;
    expect(delay(1)).toBe(500);
    step({ type: 'timer', name: 'retry' });
    step({ type: 'opened', connection: 2 });
    expect(delay(2)).toBe(1_000);
    step({ type: 'timer', name: 'retry' });
    step({ type: 'opened', connection: 3 });
    wait(STABLE_MS);
    expect(delay(3)).toBe(500);
  });

  it('is taken for lost after silence', () => {
    const { step, open, machine } = hub();
    open(['notices']);
    expect(step({ type: 'activity', connection: 1 })).toEqual([{ type: 'start', timer: 'silence', ms: SILENCE_MS }]);
    const actions = step({ type: 'timer', name: 'silence' });
    expect(actions[0]).toEqual({ type: 'close' });
    expect(machine.status.state).toBe('waiting');
  });

  it('is tried at once when someone asks for it', () => {
    const { step, open, machine } = hub();
    open(['notices']);
    expect(step({ type: 'retry' })).toEqual([]);
    step({ type: 'closed', connection: 1, problem: lost });
    expect(find(step({ type: 'retry' }), 'open')).toBeDefined();
    expect(machine.status.retryAtMs).toBeNull();
  });

  it('that was replaced is ignored', () => {
    const { step, open } = hub();
    open(['notices']);
    step({ type: 'closed', connection: 1, problem: null });
    step({ type: 'timer', name: 'retry' });
    expect(step({ type: 'frame', connection: 1, id: '1-1', event: notice('late') })).toEqual([]);
    expect(step({ type: 'closed', connection: 1, problem: null })).toEqual([]);
  });
});

describe('topics', () => {
  it('change with a short delay, and the stream continues after the last event', () => {
    const { step, open, machine } = hub();
    open(['notices']);
    step({ type: 'frame', connection: 1, id: '1-5', event: null });
    expect(step({ type: 'topics', topics: ['audit', 'notices'] })).toEqual([
      { type: 'start', timer: 'topics', ms: ADD_DELAY_MS },
    ]);
    const actions = step({ type: 'timer', name: 'topics' });
    expect(actions[0]).toEqual({ type: 'close' });
    expect(find(actions, 'open')).toMatchObject({ topics: ['audit', 'notices'], lastEventId: '1-5' });
    // Nothing that pages show has changed, but the new topic is not live yet.
    expect(machine.status).toMatchObject({ state: 'live', topics: [] });
  });

  it('that are no longer wanted are given up later', () => {
    const { step, open } = hub();
    open(['audit', 'notices']);
    expect(step({ type: 'topics', topics: ['notices'] })).toEqual([
      { type: 'start', timer: 'topics', ms: REMOVE_DELAY_MS },
    ]);
    expect(step({ type: 'topics', topics: ['audit', 'notices'] })).toEqual([{ type: 'cancel', timer: 'topics' }]);
    expect(step({ type: 'timer', name: 'topics' })).toEqual([]);
  });

  it('of no one end the connection', () => {
    const { step, open, machine } = hub();
    open(['notices']);
    step({ type: 'topics', topics: [] });
    expect(step({ type: 'timer', name: 'topics' })).toContainEqual({ type: 'close' });
    expect(machine.status.state).toBe('idle');
    expect(find(step({ type: 'topics', topics: ['pool'] }), 'open')?.connection).toBe(3);
  });

  it('may change while it waits', () => {
    const { step, open } = hub();
    open(['notices']);
    step({ type: 'closed', connection: 1, problem: lost });
    expect(step({ type: 'topics', topics: ['pool'] })).toEqual([]);
    expect(find(step({ type: 'timer', name: 'retry' }), 'open')?.topics).toEqual(['pool']);
  });
});

describe('events', () => {
  it('are delivered once and in order', () => {
    const { step, open } = hub();
    open(['notices']);
    const frame = (id: string, text: string): unknown[] =>
      delivered(step({ type: 'frame', connection: 1, id, event: notice(text) }));
    expect(frame('1-5', 'a')).toEqual([notice('a')]);
    expect(frame('1-5', 'a')).toEqual([]);
    expect(frame('1-4', 'older')).toEqual([]);
    // Numbers count the events of all topics.
    expect(frame('1-90', 'b')).toEqual([notice('b')]);
  });

  it('without an id are measurements, and always delivered', () => {
    const { step, open } = hub();
    open(['notices']);
    const frame = { type: 'frame', connection: 1, id: null, event: notice('a') } as const;
    expect(delivered([...step(frame), ...step(frame)])).toHaveLength(2);
  });

  it('of another start of the gateway reset all topics, unless it says so itself', () => {
    const { step, open } = hub();
    open(['notices', 'pool']);
    step({ type: 'frame', connection: 1, id: '1-5', event: null });
    const foreign = step({ type: 'frame', connection: 1, id: '2-1', event: notice('a') });
    expect(delivered(foreign)).toEqual([reset(['notices', 'pool']), notice('a')]);
    const said = step({ type: 'frame', connection: 1, id: '3-1', event: reset(['pool']) });
    expect(delivered(said)).toEqual([reset(['pool'])]);
    expect(delivered(step({ type: 'frame', connection: 1, id: '3-2', event: notice('b') }))).toEqual([notice('b')]);
  });

  it('are reset whatever the number of the reset', () => {
    const { step, open } = hub();
    open(['notices']);
    step({ type: 'frame', connection: 1, id: '1-5', event: notice('a') });
    expect(delivered(step({ type: 'frame', connection: 1, id: '1-5', event: reset(['notices']) }))).toHaveLength(1);
  });

  it('that a connection without an id may have missed are reset', () => {
    const { step, open } = hub();
    open(['notices']);
    step({ type: 'closed', connection: 1, problem: lost });
    step({ type: 'topics', topics: ['notices', 'pool'] });
    step({ type: 'timer', name: 'retry' });
    // No one has a state of the new topic.
    expect(delivered(step({ type: 'opened', connection: 2 }))).toEqual([reset(['notices'])]);
  });
});

it('spreads retries without exceeding the longest delay', () => {
  expect([retryDelay(0, 0), retryDelay(0, 1)]).toEqual([400, 600]);
  expect(retryDelay(20, 1)).toBe(LONGEST_DELAY_MS);
  expect(retryDelay(20, 0)).toBe(12_000);
});

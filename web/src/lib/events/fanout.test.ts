import { beforeEach, describe, expect, it } from 'vitest';

import { Fanout, MAX_PENDING, PATIENCE_MS } from './fanout';
import { loading, logLine, notice, reset } from './testing';

let fanout: Fanout<string>;

beforeEach(() => {
  fanout = new Fanout();
  fanout.set('a', ['notices', 'servers']);
  fanout.set('b', ['notices', 'logs:gateway']);
});

/** What a page gets now. */
function flushed(port: string, nowMs = 0): unknown[] | undefined {
  return fanout.flush(nowMs).find(([other]) => other === port)?.[1];
}

describe('Fanout', () => {
  it('joins the topics of all pages', () => {
    expect(fanout.topics).toEqual(['logs:gateway', 'notices', 'servers']);
    fanout.delete('b');
    expect(fanout.topics).toEqual(['notices', 'servers']);
  });

  it('sends each page the events of its topics in one message', () => {
    for (const event of [notice('1'), loading('x', 1), logLine(null, 1), notice('2')]) fanout.push(event);
    expect(fanout.flush(0)).toEqual([
      ['a', [notice('1'), loading('x', 1), notice('2')]],
      ['b', [notice('1'), logLine(null, 1), notice('2')]],
    ]);
    expect(fanout.hasPending).toBe(false);
  });

  it('keeps only the latest measurement of a subject, in its place', () => {
    for (const event of [loading('x', 1), loading('y', 1), notice('1'), loading('x', 2)]) fanout.push(event);
    expect(flushed('a')).toEqual([loading('y', 1), notice('1'), loading('x', 2)]);
  });

  it('sends the next message only when the last one was read', () => {
    fanout.push(notice('1'));
    expect(flushed('a')).toHaveLength(1);
    fanout.push(notice('2'));
    fanout.push(notice('3'));
    expect(flushed('a')).toBeUndefined();
    fanout.acknowledge('a');
    expect(flushed('a')).toEqual([notice('2'), notice('3')]);
  });

  it('resets the topics of a page that does not keep up, and keeps what came since', () => {
    fanout.set('a', ['notices', 'servers', 'pool']);
    for (let index = 0; index <= MAX_PENDING; index += 1) fanout.push(notice(String(index)));
    fanout.push(notice('new'));
    expect(flushed('a')).toEqual([reset(['notices']), notice('new')]);
  });

  it('passes resets on to those whom they concern, before later events', () => {
    fanout.push(notice('old'));
    fanout.push(loading('x', 1));
    fanout.push(reset(['notices', 'audit']));
    fanout.push(notice('new'));
    expect(flushed('a')).toEqual([reset(['notices']), loading('x', 1), notice('new')]);
    fanout.push(reset(['audit']));
    fanout.acknowledge('a');
    expect(flushed('a')).toBeUndefined();
  });

  it('drops what waits of topics that are no longer wanted', () => {
    fanout.push(notice('old'));
    fanout.set('a', ['servers']);
    fanout.set('a', ['notices', 'servers']);
    expect(flushed('a')).toBeUndefined();
  });

  it('forgets pages that do not read for long', () => {
    fanout.push(notice('1'));
    fanout.flush(0);
    fanout.acknowledge('b');
    expect(fanout.expire(PATIENCE_MS)).toBe(false);
    expect(fanout.expire(PATIENCE_MS + 1)).toBe(true);
    expect([fanout.has('a'), fanout.has('b')]).toEqual([false, true]);
  });
});

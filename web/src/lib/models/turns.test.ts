import { expect, test } from 'vitest';
import { Turns } from './turns';

/** Computations that end when they are told to. */
function manual() {
  const started: string[] = [];
  const ends: (() => void)[] = [];
  const run = (name: string) => {
    started.push(name);
    return new Promise<void>((resolve) => ends.push(resolve));
  };
  const end = async () => {
    ends.shift()?.();
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { started, run, end };
}

test('only a few run at once, in the order in which they were wanted', async () => {
  const { started, run, end } = manual();
  const turns = new Turns(2, run);
  for (const name of ['a', 'b', 'c']) turns.want(name, 'now');
  expect(started).toEqual(['a', 'b']);
  await end();
  expect(started).toEqual(['a', 'b', 'c']);
});

test('each runs once for a state, and again for another one', async () => {
  const { started, run, end } = manual();
  const turns = new Turns(1, run);
  turns.want('a', 'one');
  turns.want('a', 'one');
  await end();
  expect(started).toEqual(['a']);
  turns.want('a', 'two');
  expect(started).toEqual(['a', 'a']);
});

test('several states before its turn are one computation', async () => {
  const { started, run, end } = manual();
  const turns = new Turns(1, run);
  turns.want('a', 'one');
  for (const state of ['one', 'two', 'three']) turns.want('b', state);
  await end();
  await end();
  expect(started).toEqual(['a', 'b']);
});

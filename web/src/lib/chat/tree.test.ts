import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Tree, type Linked } from './tree';

const message = (id: string, parent_id: string | null = null): Linked => ({ id, parent_id });

/** Trees in which each message has an earlier one as its parent, or none, in any order. */
const trees = fc
  .array(fc.nat(), { maxLength: 40 })
  .map((parents) =>
    parents.map((pick, index) => {
      const id = String(index).padStart(3, '0');
      const parent = pick % (index + 1);
      return message(id, parent === index ? null : String(parent).padStart(3, '0'));
    }),
  )
  .chain((messages) => fc.shuffledSubarray(messages, { minLength: messages.length }));

const ids = (messages: readonly Linked[]): string[] => messages.map(({ id }) => id);

describe('Tree', () => {
  // Two first messages; the first one has two responses, and the later response goes on.
  const tree = new Tree([
    message('1'),
    message('2', '1'),
    message('3', '1'),
    message('4', '3'),
    message('5', '4'),
    message('6'),
  ]);

  it('leads from the first message to a leaf', () => {
    expect(ids(tree.path('5'))).toEqual(['1', '3', '4', '5']);
    expect(ids(tree.path('2'))).toEqual(['1', '2']);
  });

  it('shows the newest branch if the leaf is not there', () => {
    expect(ids(tree.path('gone'))).toEqual(['6']);
    expect(ids(tree.path(null))).toEqual(['6']);
    expect(new Tree([]).path(null)).toEqual([]);
  });

  it('knows the alternatives of a message', () => {
    expect(tree.fork('3')).toEqual({ index: 1, count: 2, previous: '2', next: null });
    expect(tree.fork('1')).toEqual({ index: 0, count: 2, previous: null, next: '6' });
    expect(tree.fork('4')).toBeNull();
    expect(tree.fork('gone')).toBeNull();
  });

  it('leads from an alternative to its newest leaf', () => {
    expect(tree.newestLeaf('1')).toBe('5');
    expect(tree.newestLeaf('2')).toBe('2');
    expect(new Tree([]).newestLeaf(null)).toBeNull();
  });

  it('deletes a message with what follows it', () => {
    expect(ids(tree.below('3')).sort()).toEqual(['3', '4', '5']);
    expect(tree.below('gone')).toEqual([]);
  });

  it('ends where messages name each other as parents', () => {
    const cycle = new Tree([message('1', '2'), message('2', '1'), message('3', '3')]);
    expect(ids(cycle.path('1'))).toEqual(['2', '1']);
    expect(cycle.newestLeaf('1')).toBeTypeOf('string');
    expect(cycle.below('1')).toHaveLength(2);
    expect(ids(cycle.path('3'))).toEqual(['3']);
  });
});

describe('any tree', () => {
  it('has each message on a path, whose steps are from parent to child', () => {
    fc.assert(
      fc.property(trees, (messages) => {
        const tree = new Tree(messages);
        const seen = new Set<string>();
        for (const { id } of messages) {
          const path = tree.path(tree.newestLeaf(id));
          expect(ids(path)).toContain(id);
          path.forEach((step, index) => expect(step.parent_id ?? null).toBe(path[index - 1]?.id ?? null));
          for (const step of path) seen.add(step.id);
        }
        expect(seen.size).toBe(messages.length);
      }),
    );
  });

  it('reaches all alternatives of a message with "previous" and "next"', () => {
    fc.assert(
      fc.property(trees, (messages) => {
        const tree = new Tree(messages);
        for (const { id } of messages) {
          const fork = tree.fork(id);
          if (fork === null) continue;
          const walk = (from: string | null, side: 'previous' | 'next'): string[] =>
            from === null ? [] : [from, ...walk(tree.fork(from)?.[side] ?? null, side)];
          const found = [...walk(fork.previous, 'previous').reverse(), id, ...walk(fork.next, 'next')];
          expect(found).toEqual(ids(tree.siblings(id)));
          expect(found).toHaveLength(fork.count);
        }
      }),
    );
  });

  it('keeps everything but what is deleted', () => {
    fc.assert(
      fc.property(trees, fc.nat(), (messages, pick) => {
        const victim = messages[pick % Math.max(1, messages.length)];
        if (victim === undefined) return;
        const gone = new Set(ids(new Tree(messages).below(victim.id)));
        const rest = messages.filter(({ id }) => !gone.has(id));
        // No parent is missing, so that no branch becomes one of its own.
        for (const { parent_id } of rest) expect(gone.has(parent_id ?? '')).toBe(false);
      }),
    );
  });
});

import { expect, test } from 'vitest';
import { hold } from './hold';

const id = (row: { id: string; size: number }) => row.id;

test('rows keep their order, have their newest content, and new ones wait', () => {
  const rows = [
    { id: 'new', size: 9 },
    { id: 'b', size: 5 },
    { id: 'a', size: 1 },
  ];
  const { shown, held } = hold(['a', 'b', 'gone'], rows, id);
  expect(shown).toEqual([
    { id: 'a', size: 1 },
    { id: 'b', size: 5 },
  ]);
  expect(held).toEqual([{ id: 'new', size: 9 }]);
});

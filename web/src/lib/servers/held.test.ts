import { expect, it } from 'vitest';
import { held } from './held';

it('rows before the newest that was shown are held back', () => {
  const rows = ['d', 'c', 'b', 'a'].map((id) => ({ id }));
  const ids = (newest: string | null, most: number) => {
    const { shown, fresh } = held(rows, newest, most);
    return [shown.map((row) => row.id).join(''), fresh];
  };
  expect(ids(null, 3)).toEqual(['dcb', 0]);
  expect(ids('b', 3)).toEqual(['ba', 2]);
  expect(ids('d', 1)).toEqual(['d', 0]);
  // It has been removed.
  expect(ids('x', 9)).toEqual(['dcba', 0]);
});

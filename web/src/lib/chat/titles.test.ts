import { expect, it } from 'vitest';

import { titleOf } from './titles';

it('a chat without a title can be named and clicked all the same', () => {
  expect([titleOf({ title: 'Red foxes' }), titleOf({ title: ' ' })]).toEqual(['Red foxes', 'Untitled chat']);
});

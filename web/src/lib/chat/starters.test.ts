import { expect, it } from 'vitest';

import { starters } from './starters';

it('a model that sees images has the starters of others, as images are not read yet', () => {
  expect(starters(['vision'])).toEqual(starters([]));
  expect(starters(['vision', 'code']).map(({ title }) => title)).toContain('Explain code');
  expect(starters(['thinking'])).toHaveLength(3);
});

import { expect, it } from 'vitest';

import { server } from '$lib/events/testing';

import { filterOf } from './filter';
import type { Target } from './targets';

const target = { name: 'Coder', server: null } as Target;

it('has the chats of the model, or of its server', () => {
  expect(filterOf('model', '', null, target)).toEqual({ model: 'Coder' });
  expect(filterOf('model', '', 'work', { ...target, server: server('s') })).toEqual({ server: 's', tag: 'work' });
});

it('has all chats if that is wanted, for a search, and without a model', () => {
  expect(filterOf('all', '', null, target)).toEqual({});
  expect(filterOf('model', 'retry', 'work', target)).toEqual({ q: 'retry', tag: 'work' });
  expect(filterOf('model', '', null, null)).toEqual({});
});

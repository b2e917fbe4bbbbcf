import { expect, it } from 'vitest';

import { shown } from './changes';

it('null removes what can be absent, and leaves the rest as it is', () => {
  expect(shown({ persona_id: null, system_prompt: null, title: null, tags: null })).toEqual({
    persona_id: null,
    system_prompt: null,
  });
  expect(shown({ title: 'A', tags: [], is_pinned: false, protocol: 'anthropic', settings: { top_k: 1 } })).toEqual({
    title: 'A',
    tags: [],
    is_pinned: false,
    protocol: 'anthropic',
    settings: { top_k: 1 },
  });
});

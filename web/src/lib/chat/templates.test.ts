import fc from 'fast-check';
import { expect, it } from 'vitest';

import { commandOf, filled, matching, variables } from './templates';

it('finds each variable once, in its order', () => {
  expect(variables('Write {{ what }} in {{language}} about {{what}}, not {{}} or {one}.')).toEqual([
    'what',
    'language',
  ]);
  expect(variables('no variables')).toEqual([]);
});

it('fills what has a value, and takes values as texts', () => {
  expect(filled('{{a}} and {{ b }} and {{c}}', { a: '$&', b: '{{c}}' })).toBe('$& and {{c}} and {{c}}');
  expect(filled('{{constructor}}', {})).toBe('{{constructor}}');
});

it('leaves no variable that has a value', () => {
  const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.stringMatching(/^[^{}]*$/)), { maxLength: 5 }), (pairs) => {
      const text = pairs.map(([variable]) => `{{${variable}}}`).join(' ');
      const values = Object.fromEntries(pairs.map(([variable, value]) => [variable, value]));
      expect(variables(filled(text, values))).toEqual([]);
    }),
  );
});

it('takes a draft as a command only while its name is typed', () => {
  expect(commandOf('/')).toBe('');
  expect(commandOf('/rev')).toBe('rev');
  expect(commandOf('/usr/bin')).toBeNull();
  expect(commandOf('/review this')).toBeNull();
  expect(commandOf('see /rev')).toBeNull();
});

it('lists names that begin with the command first', () => {
  const templates = ['code-review', 'review', 'translate'].map((name) => ({ name, text: '' }));
  expect(matching(templates, 'REV').map(({ name }) => name)).toEqual(['review', 'code-review']);
  expect(matching(templates, '')).toHaveLength(3);
});

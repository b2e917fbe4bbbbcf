import fc from 'fast-check';
import { expect, it } from 'vitest';

import { argumentTree, summary } from './tool-values';

it('shows values by their names', () => {
  const tree = argumentTree('{"path": "src/a.rs", "lines": [1, 2], "deep": {"a": null}, "none": {}}');
  expect(tree).toMatchObject([
    { name: 'path', text: 'src/a.rs' },
    {
      name: 'lines',
      text: null,
      children: [
        { name: '0', text: '1' },
        { name: '1', text: '2' },
      ],
    },
    { name: 'deep', children: [{ name: 'a', text: 'null' }] },
    { name: 'none', text: '{}', children: [] },
  ]);
  expect(summary(tree, '')).toBe('src/a.rs {}');
});

it('is null while the arguments are written', () => {
  expect(argumentTree('{"pa')).toBeNull();
  expect(summary(null, '{"pa\n')).toBe('{"pa ');
  expect(argumentTree('')).toEqual([]);
  expect(argumentTree('"text"')).toEqual([{ name: '', text: 'text', children: [] }]);
});

it('ends for any arguments', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 20 }), (json) => {
      expect(argumentTree(json)).not.toBeNull();
    }),
  );
});

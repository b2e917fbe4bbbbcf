import { expect, test } from 'vitest';
import { modelHref, nameOf, splitName } from './names';

test('a name has an owner before the first slash', () => {
  expect(splitName('mlx-community/Qwen3-8B-4bit')).toEqual({
    owner: 'mlx-community',
    name: 'Qwen3-8B-4bit',
  });
  expect(splitName('starter')).toEqual({ owner: null, name: 'starter' });
  expect(splitName('a/b/c')).toEqual({ owner: 'a', name: 'b/c' });
});

test('a link encodes what is not a name', () => {
  expect(modelHref('a/b')).toBe('/models/a/b');
  expect(modelHref('starter')).toBe('/models/starter');
  expect(modelHref('a/b/c')).toBe('/models/a/b%2Fc');
  expect(modelHref('"><img src=x>/?#')).toBe('/models/%22%3E%3Cimg%20src%3Dx%3E/%3F%23');
});

test('parameters of a page are a name again', () => {
  expect(nameOf('a', 'b')).toBe('a/b');
  expect(nameOf('starter')).toBe('starter');
});

import { expect, it } from 'vitest';
import { administration, destinations, isCurrent } from './navigation';

it('a page is current with the pages below it, and not with pages of a similar name', () => {
  expect(isCurrent('/models', '/models')).toBe(true);
  expect(isCurrent('/models', '/models/mlx-community/Qwen3')).toBe(true);
  expect(isCurrent('/models', '/models-of-others')).toBe(false);
});

it('each page has its own key', () => {
  const keys = [...destinations, ...administration].map(({ key }) => key);
  expect(new Set(keys).size).toBe(keys.length);
});

import { expect, test } from 'vitest';
import { excerpt } from './excerpt';

test('a text that is a little longer is not cut', () => {
  expect(excerpt('a'.repeat(120), 100)).toHaveLength(120);
});

test('a long text is cut after a paragraph', () => {
  expect(excerpt(`${'a'.repeat(50)}\n\n${'b'.repeat(200)}`, 100)).toBe('a'.repeat(50));
  expect(excerpt('a'.repeat(300), 100)).toHaveLength(100);
});

test('code that is cut is closed', () => {
  const text = `${'a'.repeat(40)}\n\n\`\`\`py\nx\n\n${'y\n'.repeat(200)}\`\`\``;
  expect(excerpt(text, 100)).toMatch(/x\n```$/);
});

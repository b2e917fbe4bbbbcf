import { expect, test } from 'vitest';
import { bitsText, contextText, parametersText } from './badges';

test('parameters are written as in names of models', () => {
  const texts = [30e9, 8.19e9, 1e9, 0.6e9, 135e6, 999.9e6].map(parametersText);
  expect(texts).toEqual(['30B', '8.2B', '1B', '0.6B', '135M', '1B']);
});

test('context lengths are written in binary thousands where they are such', () => {
  expect([8192, 32768, 40960, 131072, 1048576, 32000, 2048, 1000].map(contextText)).toEqual([
    '8k',
    '32k',
    '40k',
    '128k',
    '1M',
    '32k',
    '2k',
    '1000',
  ]);
});

test('only quantized weights have bits', () => {
  expect(bitsText(null)).toBeNull();
  expect(bitsText({ kind: 'text', badges: [] })).toBeNull();
  expect(bitsText({ kind: 'text', badges: [], quantization: { bits: 4 } })).toBe('4-bit');
});

import { expect, test } from 'vitest';
import { ofRemote } from './entry';
import { specs } from './specs';

test('only what is known is listed', () => {
  const entry = ofRemote(
    {
      repo_id: 'a/b',
      tags: [],
      gated: false,
      downloaded: false,
      pipeline_tag: 'text-generation',
      characteristics: {
        kind: 'text',
        badges: [],
        family: 'Qwen',
        parameters: 8e9,
        quantization: { bits: 4, group_size: 64 },
      },
    },
    null,
  );
  expect(specs(entry).map(({ name, value }) => `${name}: ${value}`)).toEqual([
    'Family: Qwen',
    'Kind: Text',
    'Parameters: 8B',
    'Weights: 4-bit, groups of 64',
    'Task: text-generation',
  ]);
});

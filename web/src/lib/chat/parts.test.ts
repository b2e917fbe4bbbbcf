import { expect, it } from 'vitest';

import type { Part } from '$lib/api';

import { charactersOf, newParts } from './parts';

const file: Part = { type: 'attachment', hash: 'h', name: 'a.rs', media_type: 'text/x-rust', size_bytes: 40 };
const image: Part = { type: 'attachment', hash: 'i', name: 'a.png', media_type: 'image/png', size_bytes: 9_000 };
const parts: Part[] = [file, image, { type: 'text', text: 'Why?' }];

it('an edited message keeps its files', () => {
  expect(newParts(parts, 'How?')).toEqual([
    { type: 'attachment', hash: 'h', name: 'a.rs' },
    { type: 'attachment', hash: 'i', name: 'a.png' },
    { type: 'text', text: 'How?' },
  ]);
  expect(newParts([file], '')).toHaveLength(1);
});

it('files of text count by their size, and images do not', () => {
  expect(charactersOf(parts)).toEqual({ text: 4, files: 40 });
});

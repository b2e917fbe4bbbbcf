import { expect, it } from 'vitest';
import { settingRows } from './settings';
import { server } from './testing';

it('settings that are not given are left out', () => {
  const rows = settingRows(server({ settings: { max_sequences: 4, adapters: [] }, version: null }));
  const labels = rows.map((row) => row.label);
  expect(labels).toEqual(['Context', 'KV cache', 'Sequences', 'Process', 'Port on this machine', 'Folder']);
  expect(rows[0]?.value).toContain('chosen by what fits');
  expect(settingRows(server({ settings: { context_length: 8_192 } }))[0]?.value).not.toContain('chosen');
});

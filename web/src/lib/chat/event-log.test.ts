import { expect, it } from 'vitest';

import { EventLog } from './event-log';

it('has the events of a run, the newest ones of all runs', () => {
  const log = new EventLog();
  for (let seq = 1; seq <= 4_001; seq += 1) {
    log.add({ run: seq % 2 === 0 ? 'even' : 'odd', seq, type: 'text', text: 'a' });
  }
  const lines = log.linesOf('odd').split('\n');
  expect(lines).toHaveLength(1_000);
  expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ run: 'odd', seq: 4_001, type: 'text', text: 'a' });
  expect(log.linesOf('none')).toBe('');
});

/** A model that recites given texts: reasoning, tool calls, formulas, diagrams and attacks. See tests/reciter/README.md. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ATTACKS, CODE_ATTACKS, MATH_ATTACKS } from '../../src/lib/markdown/attacks';
import type { Gateway } from './gateway';

/** Its name at the gateway. */
export const RECITER = 'Reciter';

const PROGRAM = resolve(import.meta.dirname, '../../../tests/reciter/reciter.cjs');

/** Attacks with all markup, code and formulas: the response to `Recite every-attack`. */
export const EVERY_ATTACK = [...ATTACKS, ...CODE_ATTACKS, ...MATH_ATTACKS].join('\n\n');

/** Adds the model. A message that contains the name of a text of `tests/reciter/texts` gets it as response. */
export function addReciter(gateway: Gateway): void {
  const directory = mkdtempSync(join(tmpdir(), 'mlxm-reciter-'));
  const file = join(directory, 'texts.json');
  writeFileSync(file, JSON.stringify({ 'every-attack': EVERY_ATTACK }));
  execFileSync(process.execPath, [PROGRAM, join(gateway.home, 'models', RECITER), file]);
  rmSync(directory, { recursive: true });
}

/** What is measured. `cargo xtask bench web` computes the quantiles, compares them with the limits and keeps the result. */

import type { TestInfo } from '@playwright/test';
import { required } from '../tests/support/environment';
import type { KeyTimes } from './probe';

export interface Row {
  name: string;
  unit: 'ms' | 'MB' | 'count';
  /** The most that the 95th percentile may be; null if the row is only reported. */
  limit: number | null;
  /** Every sample, in the order of the runs. */
  values: number[];
}

/** The name of attachments that are rows. */
export const ROW = 'row';

/** No task of a page may keep its main thread busy for longer, in milliseconds. */
export const TASK_LIMIT_MS = 50;

const TASK = 'cargo xtask bench web';

/** Runs of each measurement. */
export const repeat = (): number => Number(required('MLXM_BENCH_REPEAT', TASK));

/** The file with all rows. */
export const resultFile = (): string => required('MLXM_BENCH_RESULT', TASK);

/** Most time from a key until its effects are in the layout. */
const KEY_LIMIT_MS = 16;

/** Adds the rows of keys. The time until they are painted depends on the frames of the browser, of which there are 60 a second. */
export async function recordKeys(info: TestInfo, name: string, { layout, paint }: KeyTimes): Promise<void> {
  await record(info, { name: `${name}, keystroke`, unit: 'ms', limit: KEY_LIMIT_MS, values: layout });
  await record(info, { name: `${name}, keystroke until painted`, unit: 'ms', limit: null, values: paint });
}

/** Adds a row to the result. */
export async function record(info: TestInfo, row: Row): Promise<void> {
  await info.attach(ROW, { body: JSON.stringify(row), contentType: 'application/json' });
}

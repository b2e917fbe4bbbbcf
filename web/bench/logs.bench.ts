/** A log of ten thousand lines: scrolling, search and export. */

import { stat } from 'node:fs/promises';
import { type Page, expect } from '@playwright/test';
import { test } from '../tests/support/test';
import { GatewayLog, fillLog, openLog, searchField } from './gateway-log';
import { addProbe } from './probe';
import { TASK_LIMIT_MS, record, repeat } from './rows';

const LINES = 10_000;

/** 60 frames per second: each is a refresh of the display. Browsers give times that differ from it by a tenth. */
const FRAME_MS = 1_000 / 60;
const FRAME_LIMIT_MS = 16.7;
const SEARCH_LIMIT_MS = 100;
/** The search field waits for 150 ms after the last key, unless it is Enter. */
const TYPED_SEARCH_LIMIT_MS = 150 + SEARCH_LIMIT_MS;
const EXPORT_LIMIT_MS = 1_000;

/** Pixels per frame: most of the visible part of the list, as with a quick wheel. */
const STEP = 600;

test('scrolling, search and export', async ({ context, page, gateway }, info) => {
  await addProbe(context);
  const log = await GatewayLog.of(gateway);
  await openLog(page, gateway);
  await fillLog(page, log, LINES);

  const frames: number[] = [];
  const scrollTasks: number[] = [];
  await page.evaluate(() => window.probe.longestTask());
  for (let run = 0; run < repeat(); run += 1) {
    const times = await page.evaluate((pixels) => window.probe.scroll(pixels), STEP);
    frames.push(...times.map((time) => Math.max(1, Math.round(time / FRAME_MS)) * FRAME_MS));
    scrollTasks.push(await page.evaluate(() => window.probe.longestTask()));
  }
  await record(info, { name: 'scrolling, frame', unit: 'ms', limit: FRAME_LIMIT_MS, values: frames });
  await record(info, { name: 'scrolling, longest task', unit: 'ms', limit: TASK_LIMIT_MS, values: scrollTasks });

  const entered: number[] = [];
  const typed: number[] = [];
  const searchTasks: number[] = [];
  for (let run = 0; run < repeat(); run += 1) {
    entered.push(await search(page, log.uniqueText(2 * run), 'Enter'));
    typed.push(await search(page, log.uniqueText(2 * run + 1), 'last letter'));
    searchTasks.push(await page.evaluate(() => window.probe.longestTask()));
  }
  await record(info, { name: 'search, from Enter', unit: 'ms', limit: SEARCH_LIMIT_MS, values: entered });
  await record(info, { name: 'search, from the last letter', unit: 'ms', limit: TYPED_SEARCH_LIMIT_MS, values: typed });
  await record(info, { name: 'search, longest task', unit: 'ms', limit: TASK_LIMIT_MS, values: searchTasks });
  await searchField(page).press('Escape');
  await expect(page.getByText(/^[\d,]+ lines$/)).toBeVisible();

  const exports: number[] = [];
  const exportTasks: number[] = [];
  await page.evaluate(() => window.probe.longestTask());
  for (let run = 0; run < repeat(); run += 1) {
    exports.push(await exportLines(page));
    exportTasks.push(await page.evaluate(() => window.probe.longestTask()));
  }
  await record(info, { name: 'export', unit: 'ms', limit: EXPORT_LIMIT_MS, values: exports });
  await record(info, { name: 'export, longest task', unit: 'ms', limit: TASK_LIMIT_MS, values: exportTasks });
});

/** Searches for a text, and returns the time from the last key to the painted result. */
async function search(page: Page, text: string, last: 'Enter' | 'last letter'): Promise<number> {
  const field = searchField(page);
  for (;;) {
    await field.selectText();
    await page.evaluate((wanted) => window.probe.watchSearch(wanted), text);
    if (last === 'Enter') {
      await page.keyboard.insertText(text);
      await page.keyboard.press('Enter');
    } else {
      await page.keyboard.insertText(text.slice(0, -1));
      await page.keyboard.press(text.slice(-1));
    }
    const time = await page.evaluate(() => window.probe.found);
    if (time !== null) return time;
    // The field did not wait for Enter. Without the text, the same search can be made again.
    await field.press('Escape');
    await expect(page.getByRole('log').locator('mark')).toHaveCount(0);
  }
}

/** From the click to the complete file. */
async function exportLines(page: Page): Promise<number> {
  const download = page.waitForEvent('download');
  const button = page.getByRole('button', { name: 'Export', exact: true });
  const start = performance.now();
  await button.click();
  const path = await (await download).path();
  const time = performance.now() - start;
  expect((await stat(path)).size).toBeGreaterThan(LINES);
  return time;
}

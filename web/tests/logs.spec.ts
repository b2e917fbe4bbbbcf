/** Logs and requests: live, many lines, search and export. */

import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { STARTER } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

/** More than a page can have as elements. */
const LINES = 12_000;

test('thousands of lines are searched and exported, and few of them are elements', async ({ page, gateway }) => {
  await gateway.stop();
  const directory = join(gateway.home, 'logs');
  mkdirSync(directory, { recursive: true });
  const lines = Array.from({ length: LINES }, (_, index) => {
    const message = index === 2777 ? 'the needle <b>in</b> the log' : `line ${index}`;
    const timestamp = new Date(1_760_000_000_000 + index).toISOString();
    return `${JSON.stringify({ timestamp, level: 'INFO', message, target: 'test' })}\n`;
  });
  appendFileSync(join(directory, 'gateway.log'), lines.join(''));
  await gateway.start();

  await open(page, '/logs?source=gateway', 'Logs');
  const search = page.getByRole('main').getByRole('textbox').first();
  await search.fill('needle');
  await expect(page.getByText('the needle <b>in</b> the log')).toBeVisible();
  await search.fill('');
  await expect(page.getByText(/^\d+,\d{3} lines$/)).toBeVisible();
  expect(await page.evaluate(() => document.querySelectorAll('main *').length)).toBeLessThan(2500);
  const download = page.waitForEvent('download');
  await page
    .getByRole('button', { name: /export/i })
    .or(page.getByRole('link', { name: /export/i }))
    .first()
    .click();
  const item = page.getByRole('menuitem').first();
  if (await item.isVisible()) await item.click();
  const path = await (await download).path();
  expect(readFileSync(path, 'utf8')).toContain('line 11999');
});

test('a request appears while the page is open', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/logs?view=requests', 'Logs');
  await gateway.generate(STARTER);
  await expect(page.getByRole('main').getByText(STARTER).first()).toBeVisible();
  await expect(page.getByRole('main').getByText('200').first()).toBeVisible();
});

test('lines of a model arrive while the page is open', async ({ page, gateway }) => {
  const server = await gateway.load(STARTER);
  await open(page, `/logs?source=${server.id}`, 'Logs');
  await gateway.generate(STARTER);
  await expect(
    page
      .getByRole('main')
      .getByText(/request|completion|chat/i)
      .first(),
  ).toBeVisible();
});

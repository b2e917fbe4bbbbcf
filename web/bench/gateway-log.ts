/** Many lines in the gateway's log, and the page that shows them. */

import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Page, expect } from '@playwright/test';
import { waitFor } from '../tests/support/environment';
import type { Gateway } from '../tests/support/gateway';
import { open } from '../tests/support/pages';

/** Requests about which the gateway writes lines. */
const REQUESTS = 20;

/** Lines that are added at once: a page keeps at most 2,000 events that it has not read. */
const BATCH = 1_000;

/** Adds lines that the gateway has written itself to its log, again and again, each with a number. */
export class GatewayLog {
  private written = 0;

  private constructor(
    private readonly file: string,
    private readonly samples: readonly object[],
  ) {}

  static async of(gateway: Gateway): Promise<GatewayLog> {
    for (let request = 0; request < REQUESTS; request += 1) await gateway.servers();
    const file = join(gateway.home, 'logs', 'gateway.log');
    const samples = await waitFor('lines in the log of the gateway', () => {
      // What stands after the last line break is still being written.
      const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
      return lines.length === 0 ? undefined : lines.map((line) => JSON.parse(line) as object);
    });
    return new GatewayLog(file, samples);
  }

  append(count: number): void {
    const timestamp = new Date().toISOString();
    const lines = Array.from({ length: count }, () => {
      const sample = this.samples[this.written % this.samples.length];
      const line = numberOf(this.written);
      this.written += 1;
      return `${JSON.stringify({ ...sample, timestamp, line })}\n`;
    });
    appendFileSync(this.file, lines.join(''));
  }

  /** A text that only one of the last lines has, in another line for each `index`. */
  uniqueText(index: number): string {
    return `line=${numberOf(this.written - 1 - ((index * 97) % BATCH))}`;
  }
}

function numberOf(line: number): string {
  return String(line).padStart(6, '0');
}

/** Opens the page with the gateway's log. */
export async function openLog(page: Page, gateway: Gateway): Promise<void> {
  await open(page, `${gateway.url}/logs?source=gateway`, 'Logs');
}

/** Adds lines until the page has as many. */
export async function fillLog(page: Page, log: GatewayLog, lines: number): Promise<void> {
  for (let there = await lineCount(page); there < lines; there = await lineCount(page)) {
    const added = Math.min(BATCH, lines - there);
    log.append(added);
    await expectLines(page, there + added);
  }
}

/** Waits until the page has received as many lines. */
export async function expectLines(page: Page, lines: number): Promise<void> {
  await expect.poll(() => lineCount(page)).toBeGreaterThanOrEqual(lines);
}

/** Lines that the page has, whether its search shows them or not. */
export async function lineCount(page: Page): Promise<number> {
  const text = await page
    .getByRole('main')
    .getByText(/^([\d,]+ of )?[\d,]+ lines$/)
    .textContent();
  return Number(text?.replace(/^.* of /, '').replace(/\D/g, ''));
}

export function searchField(page: Page) {
  return page.getByRole('main').getByRole('textbox', { name: 'Search in the lines' });
}

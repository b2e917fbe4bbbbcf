/** Writes the rows of all measurements to one file. */

import { writeFileSync } from 'node:fs';
import type { Reporter, TestCase, TestResult } from '@playwright/test/reporter';
import { ROW, resultFile, type Row } from './rows';

export default class RowReporter implements Reporter {
  private readonly file = resultFile();
  private readonly rows: Row[] = [];

  onTestEnd(_test: TestCase, result: TestResult): void {
    for (const { name, body } of result.attachments) {
      if (name === ROW && body !== undefined) this.rows.push(JSON.parse(body.toString()) as Row);
    }
  }

  onEnd(): void {
    writeFileSync(this.file, `${JSON.stringify({ rows: this.rows })}\n`);
  }
}

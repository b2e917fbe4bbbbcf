import { defineConfig, devices } from '@playwright/test';
import { launchOptions } from './chromium.js';

/** What `cargo xtask bench web` measures: one after the other, each on a gateway of its own. */
export default defineConfig({
  testDir: 'bench',
  testMatch: '**/*.bench.ts',
  outputDir: 'test-results/bench',
  fullyParallel: false,
  workers: 1,
  retries: 0,
  forbidOnly: true,
  // Many runs of each measurement take long; only a hang reaches it.
  timeout: 3_600_000,
  expect: { timeout: 60_000 },
  reporter: [['list'], ['./bench/reporter.ts']],
  use: {
    ...devices['Desktop Chrome'],
    viewport: { width: 1440, height: 900 },
    launchOptions: launchOptions(),
    trace: 'off',
  },
});

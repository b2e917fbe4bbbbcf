import { defineConfig, devices } from '@playwright/test';
import { launchOptions } from './chromium.js';

/** Each test starts a gateway of its own, so they share nothing but the two cores of a small machine. */
export default defineConfig({
  testDir: 'tests',
  outputDir: 'test-results',
  fullyParallel: false,
  workers: Number(process.env.MLXM_BROWSER_WORKERS ?? 2),
  retries: 0,
  forbidOnly: Boolean(process.env.CI),
  // Far longer than anything takes: models load slowly in a debug build on a busy machine.
  timeout: 300_000,
  expect: { timeout: 60_000 },
  reporter: process.env.CI ? [['list'], ['html', { open: 'never' }]] : 'list',
  use: {
    ...devices['Desktop Chrome'],
    viewport: { width: 1440, height: 900 },
    launchOptions: launchOptions(),
    // Recording takes a sixth of the time.
    trace: process.env.MLXM_BROWSER_TRACE === '1' ? 'retain-on-failure' : 'off',
    screenshot: 'only-on-failure',
  },
});

/** Every page: its screenshots, and whether everyone can use it. The screenshots are output for people; nothing compares them. */

import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { allPages, fill } from './support/content';
import { screenshots } from './support/environment';
import { SECOND, STARTER } from './support/gateway';
import { PAGES, expectAccessible, expectLoaded, expectNoHorizontalScroll, open } from './support/pages';
import { expect, test } from './support/test';

const WIDTHS = [1440, 390];
/** In these, pages only have to fit: the narrowest, a window of 1280 pixels at 200%, and the widest. */
const OTHER_WIDTHS = [360, 640, 2560];
const THEMES = ['light', 'dark'] as const;

// They take most of the time of all tests in a browser.
test.describe.configure({ mode: 'parallel' });

async function photograph(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(screenshots(), `${name}.png`), fullPage: true, animations: 'disabled' });
}

test.describe('with models', () => {
  test.use({ models: [STARTER, SECOND] });

  for (const colorScheme of THEMES) {
    test(`every page is accessible and fits: ${colorScheme}`, async ({ page, gateway, hub }) => {
      await fill(gateway, hub);
      await page.emulateMedia({ colorScheme });
      for (const { name, path, heading } of await allPages(gateway)) {
        await test.step(name, async () => {
          await page.setViewportSize({ width: 1440, height: 900 });
          await open(page, path, heading);
          await expect(page.locator('html')).toHaveAttribute('data-theme', colorScheme);
          for (const width of WIDTHS) {
            await page.setViewportSize({ width, height: 900 });
            await expectLoaded(page);
            await photograph(page, `${name}-${colorScheme}-${width}`);
            await expectAccessible(page);
            await expectNoHorizontalScroll(page);
          }
          if (colorScheme === 'dark') return;
          for (const width of OTHER_WIDTHS) {
            await page.setViewportSize({ width, height: 800 });
            await expectLoaded(page);
            await expectNoHorizontalScroll(page);
          }
        });
      }
    });
  }

  test('reduced motion stops all animations', async ({ page, gateway }) => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await gateway.load(STARTER);
    for (const { path, heading } of PAGES) {
      await open(page, path, heading);
      const running = await page.evaluate(
        () => document.getAnimations().filter((animation) => animation.playState === 'running').length,
      );
      expect(running, path).toBe(0);
    }
  });
});

test('empty pages in both themes offer the next step', async ({ page }) => {
  for (const colorScheme of THEMES) {
    await page.emulateMedia({ colorScheme });
    for (const { name, path, heading } of PAGES) {
      await test.step(`${name} ${colorScheme}`, async () => {
        await open(page, path, heading);
        await photograph(page, `${name}-empty-${colorScheme}-1440`);
        await expectAccessible(page);
      });
    }
  }
});

test('a page that does not exist says so', async ({ page }) => {
  await page.goto('/no/such/page');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.getByRole('link').first()).toBeVisible();
  await expectAccessible(page);
});

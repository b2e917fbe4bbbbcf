/** All pages, and what every page has. */

import AxeBuilder from '@axe-core/playwright';
import { type Page, expect } from '@playwright/test';

export interface PageUnderTest {
  /** Names the screenshots. */
  name: string;
  path: string;
  /** The h1. */
  heading: string | RegExp;
}

/** Pages with the same address in every home directory. */
export const PAGES: PageUnderTest[] = [
  { name: 'welcome', path: '/welcome', heading: 'Choose a first model' },
  { name: 'chat-new', path: '/chat', heading: 'New chat' },
  { name: 'servers', path: '/servers', heading: 'Servers' },
  { name: 'servers-table', path: '/servers?view=table', heading: 'Servers' },
  { name: 'models', path: '/models', heading: 'Models' },
  { name: 'models-hub', path: '/models?in=hub', heading: 'Models' },
  { name: 'profiles', path: '/profiles', heading: 'Profiles' },
  { name: 'profile-new', path: '/profiles/new', heading: 'New profile' },
  { name: 'connect', path: '/connect', heading: 'Connect' },
  { name: 'connect-claude', path: '/connect?client=claude-code', heading: 'Connect' },
  { name: 'connect-python', path: '/connect?client=openai-python', heading: 'Connect' },
  { name: 'logs', path: '/logs', heading: 'Logs' },
  { name: 'requests', path: '/logs?view=requests', heading: 'Logs' },
  { name: 'settings-memory', path: '/settings/memory', heading: 'Memory and pool' },
  { name: 'settings-models', path: '/settings/models', heading: 'Models' },
  { name: 'settings-network', path: '/settings/network', heading: 'Network' },
  { name: 'settings-data', path: '/settings/data', heading: 'Data' },
  { name: 'settings-logs', path: '/settings/logs', heading: 'Logs' },
  { name: 'settings-appearance', path: '/settings/appearance', heading: 'Appearance and keys' },
  { name: 'settings-about', path: '/settings/about', heading: 'About' },
];

/** Opens a page and waits until it shows its content. */
export async function open(page: Page, path: string, heading: string | RegExp): Promise<void> {
  await page.goto(path);
  await expect(page.getByRole('heading', { level: 1, name: heading })).toBeVisible();
  await expectLoaded(page);
}

/** Nothing is loading any more. */
export async function expectLoaded(page: Page): Promise<void> {
  // The second is the class of a Skeleton.
  await expect(page.locator('[aria-busy="true"], .late[role="status"]')).toHaveCount(0);
}

/** There is no serious problem for people who use assistive technology. */
export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
    .analyze();
  const serious = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => ({ id, help, nodes: nodes.slice(0, 5).map(({ html }) => html) }));
  expect(serious).toEqual([]);
}

/** Nothing is wider than the window. Tables and code may scroll in themselves. */
export async function expectNoHorizontalScroll(page: Page): Promise<void> {
  const { content, window: width } = await page.evaluate(() => ({
    content: document.documentElement.scrollWidth,
    window: document.documentElement.clientWidth,
  }));
  expect(content, `${page.url()} is wider than the window`).toBeLessThanOrEqual(width);
}

/** The part of a page about one server. */
export function tileOf(page: Page, model: string) {
  return page
    .getByRole('main')
    .getByRole('listitem')
    .filter({ has: page.getByRole('link', { name: model, exact: true }) });
}

/** Diagrams, SVG and HTML of others are shown in a document of their own, which can do nothing but be seen. */

import type { Browser, Frame, Page } from '@playwright/test';
import { ATTACKS } from '../src/lib/markdown/attacks';
import { waitFor } from './support/environment';
import type { Gateway } from './support/gateway';
import type { Hub } from './support/hub';
import { expectAccessible, open } from './support/pages';
import { expect, test } from './support/test';

const DIAGRAM = 'graph TD\n  A[Start] --> B{Is it <b>safe</b>?}\n  B --> C[End]';

/** Adds a repository with this model card. */
async function addCard(hub: Hub, card: string): Promise<void> {
  await hub.add({
    id: 'org/card',
    weights: 1e8,
    files: { 'README.md': card, 'config.json': '{"model_type": "llama"}' },
  });
}

function block(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

function isForeign(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return hostname !== '127.0.0.1' && !['data:', 'blob:'].includes(protocol);
}

/** A page that is not watched: the browser writes to the console what it blocks. */
async function unwatched(browser: Browser, gateway: Gateway): Promise<{ page: Page; foreign: string[] }> {
  const page = await browser.newPage({ baseURL: gateway.url });
  const foreign: string[] = [];
  // The browser also reports requests that a policy keeps from being sent.
  page.on('requestfailed', (request) => {
    const isBlocked = /csp/i.test(request.failure()?.errorText ?? '');
    if (!isBlocked && isForeign(request.url())) foreign.push(request.url());
  });
  page.on('response', (response) => {
    if (isForeign(response.url())) foreign.push(response.url());
  });
  return { page, foreign };
}

/** The document of the preview, once it shows something. */
async function previewFrame(page: Page): Promise<Frame> {
  return waitFor('the preview', async () => {
    const frame = page.frames().find((frame) => frame.url().endsWith('/preview/frame'));
    // It fails while the document is loaded.
    const isShown = await frame?.evaluate(() => document.documentElement.className !== '').catch(() => false);
    return isShown === true ? frame : undefined;
  });
}

test('diagrams are drawn, and can be shown as their source', async ({ page, hub }) => {
  await addCard(hub, `# Card\n\n${block('mermaid', DIAGRAM)}\n`);
  await open(page, '/models/org/card', /card/);
  const diagram = page.frameLocator('iframe[title="Diagram"]').locator('svg').first();
  await expect(diagram).toBeVisible();
  await expect(diagram).toContainText('Start');
  await expect(page.locator('iframe[title="Diagram"]')).toHaveAttribute('sandbox', 'allow-scripts');
  await expectAccessible(page);
  const toggle = page.getByRole('button', { name: 'Show as diagram' });
  await expect(toggle).toHaveAttribute('aria-pressed', 'true');
  await toggle.click();
  await expect(page.getByText('A[Start] --> B')).toBeVisible();
  await expect(page.locator('iframe[title="Diagram"]')).toHaveCount(0);
});

test('diagrams follow the theme', async ({ page, hub }) => {
  await addCard(hub, `# Card\n\n${block('mermaid', DIAGRAM)}\n`);
  await page.emulateMedia({ colorScheme: 'dark' });
  await open(page, '/models/org/card', /card/);
  const root = page.frameLocator('iframe[title="Diagram"]').locator('html');
  await expect(root).toHaveCSS('color-scheme', 'dark');
  await page.emulateMedia({ colorScheme: 'light' });
  await expect(root).toHaveCSS('color-scheme', 'light');
});

test('a diagram with an error says what is wrong, and the next one is drawn', async ({ page, hub }) => {
  await addCard(hub, `# Card\n\n${block('mermaid', 'graph TD\n  A[[ -->')}\n\n${block('mermaid', DIAGRAM)}\n`);
  await open(page, '/models/org/card', /card/);
  await expect(page.getByText('The diagram could not be drawn.')).toBeVisible();
  await expect(page.getByText(/Parse error on line/)).toBeVisible();
  await expect(page.frameLocator('iframe[title="Diagram"]').locator('svg').first()).toBeVisible();
});

test('a preview of HTML runs nothing and loads nothing', async ({ browser, gateway, hub }) => {
  const { page, foreign } = await unwatched(browser, gateway);
  const markup = ATTACKS.filter((attack) => attack.startsWith('<')).join('\n');
  await addCard(hub, `# Card\n\n${block('html', `<p>Before</p>\n${markup}`)}\n\n${'A long card. '.repeat(300)}\n`);
  await open(page, '/models/org/card', /card/);
  await page.getByRole('button', { name: /^Show \d/ }).click();
  await page.getByRole('button', { name: 'Preview without scripts' }).click();
  const frame = await previewFrame(page);
  await expect(frame.getByText('Before')).toBeVisible();
  for (const link of await frame.getByText('click').all()) await link.dispatchEvent('click');
  // All that is loaded and run by then has been.
  await frame.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  expect(await frame.evaluate(() => 'attacked' in window)).toBe(false);
  expect(await page.evaluate(() => 'attacked' in window)).toBe(false);
  expect(frame.url()).toBe(`${gateway.url}/preview/frame`);
  expect(foreign).toEqual([]);
  await page.close();
});

test('nothing in a preview is a link: neither areas of images nor what SVG repeats', async ({
  browser,
  gateway,
  hub,
}) => {
  const { page, foreign } = await unwatched(browser, gateway);
  const to = (name: string): string => `href="https://evil.example/${name}"`;
  const markup = [
    `<map name="map"><area shape="default" ${to('area')} alt="area"></map><img usemap="#map" alt="image">`,
    `<svg width="90" height="20"><a ${to('svg')}><text y="15">label</text></a></svg>`,
    `<svg width="90" height="20"><defs><a id="repeated" ${to('use')}><rect width="90" height="20" /></a></defs>`,
    '<use href="#repeated" /></svg>',
  ];
  await addCard(hub, `# Card\n\n${block('html', markup.join('\n'))}\n`);
  await open(page, '/models/org/card', /card/);
  await page.getByRole('button', { name: 'Preview without scripts' }).click();
  const frame = await previewFrame(page);
  await frame.locator('area').dispatchEvent('click');
  await frame.getByText('label').click();
  await frame.locator('use').click();
  await frame.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
  expect(frame.url()).toBe(`${gateway.url}/preview/frame`);
  expect(foreign).toEqual([]);
  await page.close();
});

test('the document of previews has neither this page nor the gateway', async ({ browser, gateway, hub }) => {
  const { page } = await unwatched(browser, gateway);
  await addCard(hub, `# Card\n\n${block('svg', '<svg viewBox="0 0 10 10"><circle r="5" /></svg>')}\n`);
  await open(page, '/models/org/card', /card/);
  await page.getByRole('button', { name: 'Preview without scripts' }).click();
  const frame = await previewFrame(page);
  await expect(frame.locator('circle')).toHaveCount(1);
  const reached = await frame.evaluate(async (url) => {
    const attempts: Record<string, () => unknown> = {
      page: () => parent.document.title,
      storage: () => localStorage.length,
      cookies: () => document.cookie,
      gateway: () => fetch(`${url}/api/servers`),
    };
    const succeeded = [];
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        await attempt();
        succeeded.push(name);
      } catch {
        // As it should be.
      }
    }
    return succeeded;
  }, gateway.url);
  expect(reached).toEqual([]);
  await page.close();
});

test('only the page can embed the document of previews', async ({ gateway }) => {
  const response = await fetch(`${gateway.url}/preview/frame`, { headers: { accept: 'text/html' } });
  const policy = response.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "frame-ancestors 'self'", 'sandbox allow-scripts']) {
    expect(policy).toContain(part);
  }
  expect(policy).not.toContain('connect-src');
});

test('code is colored by a worker, and formulas are MathML', async ({ page, hub }) => {
  await addCard(hub, `# Card\n\n${block('python', 'def f(x):\n    return x')}\n\nSo $x^2$.\n\n$$\n\\frac{1}{2}\n$$\n`);
  await open(page, '/models/org/card', /card/);
  await expect(page.locator('pre span').filter({ hasText: 'def' })).toBeVisible();
  await expect(page.locator('math')).toHaveCount(2);
  await expectAccessible(page);
});

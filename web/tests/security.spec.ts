/** Texts of others stay text, and no page contacts another origin. Each page of these tests is watched: see `support/guard.ts`. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAGES, open } from './support/pages';
import { expect, test } from './support/test';

const ATTACKS = [
  '<img src=x onerror="document.title=1">',
  '<script>document.title = 1</script>',
  '[link](javascript:document.title=1)',
  '![image](http://example.invalid/pixel.png)',
  '<svg onload="document.title=1">',
  '<iframe src="javascript:parent.document.title=1"></iframe>',
];

test('model cards are shown without markup, scripts and images of other origins', async ({ page, hub }) => {
  await hub.add({
    id: 'org/attack',
    weights: 1e8,
    files: { 'README.md': `# Card\n\n${ATTACKS.join('\n\n')}\n\n**bold**\n`, 'config.json': '{"model_type": "llama"}' },
  });
  await open(page, '/models/org/attack', /attack/);
  const main = page.getByRole('main');
  await expect(main.getByText('bold')).toBeVisible();
  await expect(main.getByText('<script>document.title = 1</script>')).toBeVisible();
  await expect(main.locator('script, iframe, img[src^="http"], a[href^="javascript:"]')).toHaveCount(0);
  await expect(page).toHaveTitle(/mlxm/);
});

test('names of models, files and profiles are text', async ({ page, gateway }) => {
  const name = '<img src=x onerror=document.title=1>';
  const directory = join(gateway.home, 'models', name);
  mkdirSync(directory);
  for (const file of ['config.json', '<b>file.json']) writeFileSync(join(directory, file), '{"model_type": "<i>x"}');
  await gateway.request('POST', '/api/profiles', { name: 'A <b>profile', model: name, description: ATTACKS[0] });
  for (const { path, heading } of PAGES) {
    await open(page, path, heading);
    await expect(page.locator('img[src="x"]')).toHaveCount(0);
    await expect(page).toHaveTitle(/mlxm/);
  }
  await open(page, '/profiles', 'Profiles');
  await expect(page.getByText('A <b>profile').first()).toBeVisible();
  await open(page, '/models', 'Models');
  await expect(page.getByText(name).first()).toBeVisible();
});

test('errors and log lines with markup are text', async ({ page, gateway }) => {
  const model = ATTACKS[0];
  await gateway.request('POST', '/v1/chat/completions', { model, messages: [] }).catch(() => undefined);
  for (const path of ['/logs', '/logs?view=requests']) {
    await open(page, path, 'Logs');
    await expect(page.locator('img[src="x"]')).toHaveCount(0);
  }
  await page.goto(`/models/${encodeURIComponent(ATTACKS[0] ?? '')}`);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.locator('img[src="x"]')).toHaveCount(0);
  await expect(page).not.toHaveTitle('1');
});

test('the page cannot be embedded, and its policy has no exception but styles in attributes', async ({
  browser,
  gateway,
}) => {
  // Not watched: the browser writes to the console what it blocks.
  const context = await browser.newContext();
  const page = await context.newPage();
  const response = await page.goto(gateway.url);
  const policy = (await response?.headerValue('content-security-policy')) ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy.match(/unsafe-[a-z]+/g)).toEqual(['unsafe-inline']);
  const blocked = await page.evaluate(async (url) => {
    const frame = document.createElement('iframe');
    frame.src = url;
    document.body.append(frame);
    await new Promise((resolve) => frame.addEventListener('load', resolve, { once: true }));
    return frame.contentDocument?.querySelector('main') === null || frame.contentDocument === null;
  }, `${gateway.url}/`);
  expect(blocked).toBe(true);
  await context.close();
});

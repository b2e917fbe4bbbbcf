/** The page as an installed app. */

import { open } from './support/pages';
import { expect, test } from './support/test';

interface Manifest {
  name: string;
  start_url: string;
  display: string;
  icons: { src: string; type: string; purpose: string }[];
}

test('the browser reads the manifest under the policy, and finds its icons', async ({ page, context }) => {
  await open(page, '/servers', 'Servers');
  const client = await context.newCDPSession(page);
  const { url, errors, data = '{}' } = await client.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  expect(new URL(url).pathname).toBe('/manifest.webmanifest');
  const manifest = JSON.parse(data) as Manifest;
  expect(manifest).toMatchObject({ name: 'mlxm', start_url: '/', display: 'standalone' });
  expect(manifest.icons.map(({ purpose }) => purpose)).toEqual(['any', 'maskable']);
  for (const { src, type } of manifest.icons) {
    const response = await page.request.get(src);
    expect(response.status(), src).toBe(200);
    expect(response.headers()['content-type'], src).toBe(type);
  }
});

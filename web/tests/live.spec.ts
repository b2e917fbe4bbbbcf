/** Flow 9: the page of a server while it works. */

import { STARTER, type Gateway } from './support/gateway';
import { expectAccessible, open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

/** A streaming request with a long response: all that the client gets. */
async function stream(gateway: Gateway): Promise<string> {
  const messages = [{ role: 'user', content: 'Count to a thousand.' }];
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'counter/1.0' },
    body: JSON.stringify({ model: STARTER, messages, stream: true, max_tokens: 4000, ignore_eos: true }),
  });
  return response.text();
}

test('a running request is listed with its tokens, and cancelled', async ({ page, gateway }) => {
  const server = await gateway.load(STARTER);
  await open(page, `/servers/${server.id}`, STARTER);
  const table = page.getByRole('table', { name: 'Running requests' });
  await expect(table).toContainText('No request is running or waiting.');

  const response = stream(gateway);
  const row = table.getByRole('row').filter({ hasText: 'counter' });
  await expect(row).toContainText('Generating');
  await expect(row).toContainText('POST /v1/chat/completions');
  await expect(row).toContainText(STARTER);
  await expectAccessible(page);

  await row.getByRole('button', { name: /^Cancel the request of counter/ }).click();
  await expect(row).toHaveCount(0);
  const text = await response;
  expect(text).toContain('a user of the gateway cancelled this request');
  expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  await expect(table).toContainText('No request is running or waiting.');
  const ended = page.getByRole('table', { name: 'Requests of the last 24 hours' });
  await expect(ended).toContainText('499 cancelled');
});

test('charts have what was measured before the page was opened, and the range is in the address', async ({
  page,
  gateway,
}) => {
  const server = await gateway.load(STARTER);
  await gateway.generate(STARTER);
  const path = `/servers/${server.id}`;
  await open(page, path, STARTER);
  await expect(page.getByText(/^Measured since/)).toBeVisible();
  await page.reload();
  await expect(page.getByText(/^Measured since/)).toBeVisible();
  await expect(page.getByRole('img', { name: /^KV cache/ })).toBeVisible();

  await page.getByRole('radio', { name: '24 h' }).click();
  await expect(page).toHaveURL(/range=24h/);
  await expect(page.getByRole('img', { name: /^Generated tokens/ })).toBeVisible();
  await expect(page.getByText(/^Measured since/)).toBeVisible();
  await page.reload();
  await expect(page.getByRole('radio', { name: '24 h' })).toBeChecked();
});

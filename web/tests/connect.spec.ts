/** Flow 6: a program is configured, sends its first request, and the page shows it. */

import type { Page } from '@playwright/test';
import { STARTER, type Gateway } from './support/gateway';
import { expectAccessible, open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

/** The part of the page about one client. */
function panelOf(page: Page, name: string) {
  return page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });
}

/** A request as a program sends it that names itself so. */
async function send(gateway: Gateway, agent: string, model: string, text: string): Promise<number> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': agent },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: text }], max_tokens: 4 }),
  });
  await response.text();
  return response.status;
}

test('the light of a client turns on with its first request, and then shows what was cached', async ({
  page,
  gateway,
}) => {
  await open(page, '/connect', 'Connect');
  await expect(page.getByText(gateway.url)).toBeVisible();
  await page.getByRole('button', { name: 'Configure Codex' }).click();
  await expect(page).toHaveURL(/client=codex/);
  const panel = panelOf(page, 'Codex');
  await expect(panel).toContainText('Waiting for the first request');
  await expect(panel).toContainText(`mlxm launch codex --model ${STARTER}`);
  await panel.getByText('By hand').click();
  await expect(panel).toContainText('~/.codex/mlxm.config.toml');
  await expect(panel).toContainText(`base_url = "${gateway.url}/v1"`);
  await expectAccessible(page);

  const text = 'Tell me about the sea. '.repeat(40);
  expect(await send(gateway, 'codex_exec/0.171.0', STARTER, text)).toBe(200);
  await expect(panel).toContainText(/tokens in, 0 cached/);
  expect(await send(gateway, 'codex_exec/0.171.0', STARTER, text)).toBe(200);
  await expect(panel).toContainText(/tokens in, \d\d% cached/);
  expect(await send(gateway, 'codex_exec/0.171.0', 'no/model', text)).toBe(404);
  await expect(panel).toContainText('The last request failed');
  // It is also there after a reload, and of no other client.
  await page.reload();
  await expect(panel).toContainText('The last request failed');
  const other = panelOf(page, 'Claude Code');
  await expect(other).toContainText('Waiting for the first request');
});

test('a context that is too small is a problem, with what the model can have', async ({ page }) => {
  await open(page, `/connect?client=claude-code&model=${STARTER}`, 'Connect');
  const panel = panelOf(page, 'Claude Code');
  await expect(panel).toContainText('needs 65536');
  await expect(panel).toContainText('Its longest context has 8k tokens. Choose another model.');
});

test('the chosen models are in the address, and in the command', async ({ page, gateway }) => {
  await gateway.request('POST', '/api/profiles', { name: 'Small', model: STARTER });
  await open(page, `/connect?client=claude-code&model=${STARTER}`, 'Connect');
  const panel = panelOf(page, 'Claude Code');
  await panel.getByRole('combobox', { name: 'Model for small tasks' }).click();
  await page.getByRole('option', { name: /^Small/ }).click();
  await expect(page).toHaveURL(/fast=Small/);
  await expect(panel).toContainText(`mlxm launch claude-code --model ${STARTER} --fast Small`);
});

test('code of a library is copied with the address and the model', async ({ page, gateway }) => {
  await open(page, '/connect?client=anthropic-python', 'Connect');
  const panel = panelOf(page, 'Anthropic SDK for Python');
  await expect(panel).toContainText(`Anthropic(base_url="${gateway.url}", api_key="mlxm")`);
  await expect(panel).toContainText(`model="${STARTER}"`);
});

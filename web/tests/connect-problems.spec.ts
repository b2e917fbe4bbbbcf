/** What does not fit on the page Connect: what is wrong, and the button that helps. */

import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { starterModel, waitFor } from './support/environment';
import { STARTER, type Gateway } from './support/gateway';
import { expectAccessible, open } from './support/pages';
import { RECITER } from './support/reciter';
import { expect, test } from './support/test';

function rowOf(page: Page, name: string) {
  return page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });
}

/** Sends a request as Codex does. Returns the tokens of its prompt. */
async function send(gateway: Gateway, model: string, text: string): Promise<number> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'user-agent': 'codex_exec/0.171.0' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: text }], max_tokens: 4 }),
  });
  const { usage } = (await response.json()) as { usage: { prompt_tokens: number } };
  return usage.prompt_tokens;
}

const PLAIN = 'Plain';

/** Adds the starter model without its chat template. */
function addPlain(gateway: Gateway): void {
  const directory = join(gateway.home, 'models', PLAIN);
  mkdirSync(directory);
  for (const file of readdirSync(starterModel())) {
    const source = join(starterModel(), file);
    if (file === 'tokenizer_config.json') {
      const config = JSON.parse(readFileSync(source, 'utf8')) as Record<string, unknown>;
      delete config.chat_template;
      writeFileSync(join(directory, file), JSON.stringify(config));
    } else if (!file.startsWith('chat_template')) {
      symlinkSync(source, join(directory, file));
    }
  }
}

test.describe('with a small model', () => {
  test.use({ models: [STARTER] });

  test('a configuration that could not be read is read again by Retry, or when the gateway is back', async ({
    page,
    gateway,
  }) => {
    await page.route('**/api/clients/codex?*', (route) => route.abort());
    await open(page, '/connect?client=codex', 'Connect');
    const row = rowOf(page, 'Codex');
    await expect(row.getByRole('button', { name: 'Retry' })).toBeVisible();
    await page.unroute('**/api/clients/codex?*');
    await row.getByRole('button', { name: 'Retry' }).click();
    await expect(row).toContainText(`mlxm launch codex --model ${STARTER}`);

    await page.route('**/api/clients/opencode?*', (route) => route.abort());
    await page.getByRole('button', { name: 'Configure OpenCode' }).click();
    const other = rowOf(page, 'OpenCode');
    await expect(other.getByRole('button', { name: 'Retry' })).toBeVisible();
    await gateway.stop();
    await expect(page.getByText(/unreachable/i).first()).toBeVisible();
    await page.unroute('**/api/clients/opencode?*');
    await gateway.start();
    await expect(other).toContainText(`mlxm launch opencode --model ${STARTER}`);
  });

  test('a row that is not open warns when a prompt has almost filled the context', async ({ page, gateway }) => {
    await gateway.request('POST', '/api/profiles', { name: 'Small', model: STARTER, load: { context_length: 2_048 } });
    await open(page, '/connect', 'Connect');
    const row = rowOf(page, 'Codex');
    const text = (words: number): string => 'word '.repeat(words);
    const [few, more] = [await send(gateway, 'Small', text(100)), await send(gateway, 'Small', text(200))];
    await expect(row).toContainText('Connected');
    const perWord = (more - few) / 100;
    await send(gateway, 'Small', text(Math.floor(200 + (0.92 * 2_048 - more) / perWord)));
    await expect(row).toContainText('Context nearly full');
    await expectAccessible(page);
  });

  test('a model without a long context has a button for another one', async ({ page }) => {
    await open(page, `/connect?client=claude-code&model=${STARTER}`, 'Connect');
    const row = rowOf(page, 'Claude Code');
    await expect(row).toContainText('This will not work well');
    await expect(row.getByRole('link', { name: 'Find a model' })).toHaveAttribute('href', '/models?in=hub');
  });
});

test.describe('with a model that calls tools', () => {
  test.use({ reciter: true });

  test('a model without a chat template has a button for it', async ({ page, gateway }) => {
    addPlain(gateway);
    await waitFor('the description of the model', async () => {
      const setup = await gateway
        .get<{ problems: { code: string }[] }>(`/api/clients/codex?model=${PLAIN}`)
        .catch(() => null);
      return setup?.problems.some(({ code }) => code === 'no_tools') || undefined;
    });
    await open(page, `/connect?client=codex&model=${PLAIN}`, 'Connect');
    const row = rowOf(page, 'Codex');
    await expect(row).toContainText('has no chat template');
    await row
      .getByRole('button', { name: `Use ${RECITER}` })
      .first()
      .click();
    await expect(page).toHaveURL(new RegExp(`model=${RECITER}`));
    await expect(row).not.toContainText('has no chat template');
  });
});

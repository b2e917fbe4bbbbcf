/** What is next to a chat: its panels, its library, and what is offered about its context. */

import type { Page } from '@playwright/test';
import { chatId, composer, expectComplete, messages, say } from './support/chat';
import { ENDLESS, STARTER, type Gateway } from './support/gateway';
import { expectAccessible, open } from './support/pages';
import { RECITER } from './support/reciter';
import { expect, test } from './support/test';

function panelOf(page: Page, name: string) {
  return page.getByRole('complementary', { name, exact: true });
}

async function openMenu(page: Page, entry: string): Promise<void> {
  await page.getByRole('button', { name: 'More about this chat' }).click();
  await page.getByRole('menuitem', { name: entry, exact: true }).click();
}

async function prompts(gateway: Gateway): Promise<string[]> {
  const { prompts: all } = await gateway.get<{ prompts: { config: { name: string } }[] }>('/api/prompts');
  return all.map(({ config }) => config.name);
}

test.describe('of a model that recites', () => {
  test.use({ reciter: true });

  test('the preview has the diagrams, SVG and HTML of the last response with some', async ({ page }) => {
    await open(page, `/chat?model=${RECITER}`, 'New chat');
    await say(page, 'Recite mermaid');
    await expectComplete(page);
    await page.getByRole('button', { name: 'Preview', exact: true }).click();
    await expect(page).toHaveURL(/panel=preview/);
    const panel = panelOf(page, 'Preview');
    await expect(panel.frameLocator('iframe[title="Diagram"]').locator('svg').first()).toBeVisible();
    await expectAccessible(page);

    await say(page, 'Recite code');
    await expectComplete(page);
    await expect(panel.frameLocator('iframe[title="HTML of the response"]').getByText('of its own')).toBeVisible();
    await panel.getByRole('combobox', { name: 'Block' }).selectOption({ label: '2. SVG' });
    await expect(panel.frameLocator('iframe[title="SVG of the response"]').locator('rect')).toHaveCount(1);
    await panel.getByText('Source').click();
    await expect(panel).toContainText('fill="teal"');

    await say(page, 'Recite thinking');
    await expectComplete(page);
    await expect(panel.getByRole('combobox', { name: 'Block' })).toHaveValue('1');
    await page.getByRole('button', { name: 'Preview', exact: true }).click();
    await expect(panel).toHaveCount(0);
  });

  test('only what its chat template reads can be chosen about thinking', async ({ page }) => {
    await open(page, `/chat?model=${RECITER}`, 'New chat');
    const select = page.getByRole('combobox', { name: 'Thinking' });
    await expect(select.locator('option')).toHaveText(['Thinking: default', 'Thinking: off', 'Thinking: on']);
  });
});

test.describe('of a small model', () => {
  test.use({ models: [STARTER] });

  test('the metrics have a point for each response, and the sums', async ({ page, gateway }) => {
    const { chat } = await gateway.chat(STARTER, 'One', { ...ENDLESS, max_tokens: 8 });
    await open(page, `/chat/${chat.id}?panel=metrics`, /\S/);
    const panel = panelOf(page, 'Metrics');
    await expect(panel.locator('dl')).toContainText(/Responses\s*1(?!\d)/);
    await expect(panel.locator('dl')).toContainText(/Generated tokens\s*8(?!\d)/);
    for (const name of ['Time to first token', 'Speed', 'Cached part of the prompt', 'Time in the queue', 'Tokens']) {
      await expect(panel.getByRole('img', { name: new RegExp(`^${name}\\.`) })).toBeVisible();
    }
    await say(page, 'Two');
    await expect(panel.locator('dl')).toContainText(/Responses\s*2(?!\d)/);
    await expect(panel.locator('dl')).toContainText(/Generated tokens\s*16(?!\d)/);
    await expectAccessible(page);
  });

  test('a panel whose script cannot be loaded says so, and is there after a reload', async ({ page, gateway }) => {
    const { chat } = await gateway.chat(STARTER, 'One', { ...ENDLESS, max_tokens: 8 });
    await open(page, `/chat/${chat.id}`, /\S/);
    await composer(page).fill('A draft');
    await page.route('**/_app/immutable/**', (route) => route.abort());
    await page.getByRole('button', { name: 'Metrics', exact: true }).click();
    await expect(panelOf(page, 'Metrics')).toContainText('could not be loaded');
    await page.unroute('**/_app/immutable/**');
    await page.getByRole('button', { name: 'Reload the page' }).click();
    await expect(panelOf(page, 'Metrics')).toContainText(/Responses\s*1(?!\d)/);
    await expect(composer(page)).toHaveValue('A draft');
  });

  test('the parts of the context are one key away', async ({ page, gateway }) => {
    await gateway.load(STARTER);
    await open(page, '/chat', 'New chat');
    await composer(page).fill('Some words that are counted.');
    const amount = page.getByRole('button', { name: /of [\d,]+.tokens/ });
    await amount.focus();
    await page.keyboard.press('Enter');
    const parts = page.getByRole('dialog', { name: 'Tokens of the next request' });
    await expect(parts.getByText('Left for the response')).toBeVisible();
    await expectAccessible(page);
    await page.keyboard.press('Escape');
    await expect(parts).toBeHidden();
  });

  test('a chat whose context is full goes on in another one with its settings and the draft', async ({
    page,
    gateway,
  }) => {
    await gateway.load(STARTER);
    const { id } = await gateway.request<{ id: string }>('POST', '/api/chats', {
      model: STARTER,
      system_prompt: 'Be brief.',
      tags: ['sea'],
    });
    await open(page, `/chat/${id}`, /\S/);
    const text = 'The sea is deep. '.repeat(2_500);
    await composer(page).fill(text);
    await page.getByRole('button', { name: 'New chat from here' }).click();
    await expect(page).not.toHaveURL(new RegExp(id));
    const next = await chatId(page);
    await expect(composer(page)).toHaveValue(text);
    expect(await gateway.get(`/api/chats/${next}`)).toMatchObject({
      chat: { model: STARTER, system_prompt: 'Be brief.', tags: ['sea'], message_count: 0 },
    });
    await page.goto(`/chat/${id}`);
    await expect(composer(page)).toHaveValue('');
  });

  test('a template is saved once, and deleted after a question', async ({ page, gateway }) => {
    await open(page, '/chat', 'New chat');
    await openMenu(page, 'Templates');
    const dialog = page.getByRole('dialog', { name: 'Templates' });
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    await page.route('**/api/prompts', async (route) => {
      if (route.request().method() === 'POST') await held;
      await route.continue();
    });
    await dialog.getByRole('button', { name: 'New template' }).click();
    await dialog.getByRole('textbox', { name: 'Name' }).fill('greet');
    await dialog.getByRole('textbox', { name: 'Text' }).fill('Say hello.');
    await dialog.getByRole('textbox', { name: 'Name' }).press('Enter');
    await expect(dialog.getByRole('button', { name: 'Saving' })).toBeVisible();
    await dialog.getByRole('textbox', { name: 'Name' }).press('Enter');
    release();
    await expect(dialog.getByText('greet')).toBeVisible();
    expect(await prompts(gateway)).toEqual(['greet']);

    await dialog.getByRole('button', { name: 'Edit' }).click();
    await dialog.getByRole('button', { name: 'Delete' }).click();
    const question = page.getByRole('alertdialog', { name: 'Delete greet?' });
    await question.getByRole('button', { name: 'Cancel' }).click();
    expect(await prompts(gateway)).toEqual(['greet']);
    await dialog.getByRole('button', { name: 'Delete' }).click();
    await question.getByRole('button', { name: 'Delete' }).click();
    await expect(dialog.getByText('There is no template yet.')).toBeVisible();
    expect(await prompts(gateway)).toEqual([]);
  });

  test('a problem of what was edited is gone with Back', async ({ page, gateway }) => {
    await gateway.request('POST', '/api/prompts', { name: 'greet', text: 'Say hello.' });
    await open(page, '/chat', 'New chat');
    await openMenu(page, 'Templates');
    const dialog = page.getByRole('dialog', { name: 'Templates' });
    await dialog.getByRole('button', { name: 'New template' }).click();
    await dialog.getByRole('textbox', { name: 'Name' }).fill('greet');
    await dialog.getByRole('textbox', { name: 'Text' }).fill('Again.');
    await dialog.getByRole('button', { name: 'Save' }).click();
    await expect(dialog.getByRole('alert').first()).toBeVisible();
    await dialog.getByRole('button', { name: 'Back' }).click();
    await expect(dialog.getByRole('alert')).toHaveCount(0);
  });

  test('templates that cannot be read say why', async ({ page }) => {
    await open(page, '/chat', 'New chat');
    await page.route('**/api/prompts', (route) => route.abort());
    await composer(page).pressSequentially('/tra');
    await expect(page.getByText(/^The templates could not be read: /)).toBeVisible();
    await page.unroute('**/api/prompts');
    await composer(page).fill('');
    await composer(page).pressSequentially('/tra');
    await expect(page.getByText('There are no templates yet. Add one under Templates.')).toBeVisible();
  });

  test('the request is in the fields of each API', async ({ page, gateway }) => {
    const settings = { ...ENDLESS, max_tokens: 8, top_k: 20, stop: ['END'] };
    const { chat } = await gateway.chat(STARTER, 'One', settings);
    await open(page, `/chat/${chat.id}?panel=request`, /\S/);
    const panel = panelOf(page, 'Request');
    await panel.getByRole('radio', { name: 'Python' }).click();
    await expect(panel).toContainText('extra_body={');
    await panel.getByRole('radio', { name: 'Anthropic' }).click();
    await expect(panel).toContainText('stop_sequences=[');
    await expect(panel).toContainText(/no field for .*seed/);
    await expect(messages(page)).toHaveCount(2);
  });
});

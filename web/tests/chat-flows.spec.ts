/** What else is done with chats: import, personas, protocols, forks, other models, tools, files, and where the focus is. */

import type { Page } from '@playwright/test';
import { chatId, composer, expectComplete, hold, longChat, messages, row, say, thread } from './support/chat';
import { ENDLESS, SECOND, STARTER, type Gateway } from './support/gateway';
import { open } from './support/pages';
import { expect, test } from './support/test';
import type { components } from '../src/lib/api/schema';

type Schemas = components['schemas'];

test.use({ models: [STARTER] });

const SHORT = { ...ENDLESS, max_tokens: 8 };

/** The page of a chat with one response. */
async function openChat(page: Page, gateway: Gateway): Promise<string> {
  await gateway.load(STARTER);
  const { chat } = await gateway.chat(STARTER, 'One', SHORT);
  await page.goto(`/chat/${chat.id}`);
  await expectComplete(page);
  return chat.id;
}

async function menu(page: Page, entry: string): Promise<void> {
  await page.getByRole('button', { name: 'More about this chat' }).click();
  await page.getByRole('menuitem', { name: entry }).click();
}

test('an exported chat is imported as a new one, and another file is not', async ({ page }) => {
  await open(page, '/chat', 'New chat');
  const importFile = async (name: string, content: string) => {
    const chooser = page.waitForEvent('filechooser');
    await menu(page, 'Import a chat');
    await (await chooser).setFiles({ name, mimeType: 'application/json', buffer: Buffer.from(content) });
  };
  await importFile('notes.json', 'not JSON');
  await expect(page.getByText('notes.json was not imported')).toBeVisible();
  await importFile('chat.json', JSON.stringify(longChat(STARTER, 4)));
  await expect(page.getByRole('heading', { level: 1, name: 'A long chat' })).toBeVisible();
  await expect(messages(page)).toHaveCount(4);
  await expect(row(page, await chatId(page))).toBeVisible();
});

test('a persona and a protocol are chosen, and the run uses them', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  const persona = { name: 'Pirate', system_prompt: 'Talk like a pirate.', settings: SHORT };
  const { id: pirate } = await gateway.request<Schemas['Persona']>('POST', '/api/personas', persona);
  await open(page, '/chat', 'New chat');
  await page.getByRole('combobox', { name: 'Persona' }).selectOption('Pirate');
  await page.getByRole('combobox', { name: 'Protocol' }).selectOption('Anthropic');
  await say(page, 'Hello');
  await expectComplete(page);
  const id = await chatId(page);
  const { chat, messages: stored } = await gateway.get<Schemas['ChatDetail']>(`/api/chats/${id}`);
  expect(chat).toMatchObject({ persona_id: pirate, protocol: 'anthropic' });
  expect(stored.at(-1)?.receipt?.protocol).toBe('anthropic');
  await page.reload();
  await expect(page.getByRole('combobox', { name: 'Persona' }).locator('option:checked')).toHaveText('Pirate');
  await page.getByRole('combobox', { name: 'Protocol' }).selectOption('OpenAI');
  await expect
    .poll(async () => (await gateway.get<Schemas['ChatDetail']>(`/api/chats/${id}`)).chat.protocol)
    .toBe('openai');
});

test('a fork is a chat of its own', async ({ page, gateway }) => {
  const id = await openChat(page, gateway);
  await messages(page).last().getByRole('button', { name: 'More about this response' }).click();
  await page.getByRole('menuitem', { name: 'Fork to a new chat' }).click();
  await expect(page).not.toHaveURL(new RegExp(`/chat/${id}`));
  const fork = await chatId(page);
  await expect(messages(page)).toHaveCount(2);
  await expect(row(page, fork)).toBeVisible();
  await expect(row(page, id)).toBeVisible();
  await messages(page).first().getByRole('button', { name: 'Delete from here' }).click();
  await expect(messages(page)).toHaveCount(0);
  await row(page, id).click();
  await expect(messages(page)).toHaveCount(2);
});

test.describe('with another model', () => {
  test.use({ models: [STARTER, SECOND] });

  test('a response is generated again by it, and the chat stays with its own', async ({ page, gateway }) => {
    const id = await openChat(page, gateway);
    await messages(page).last().getByRole('button', { name: 'More about this response' }).click();
    await page.getByRole('menuitem', { name: `Again with ${SECOND}` }).click();
    await expect(messages(page).last()).toContainText('2/2');
    await expect(messages(page).last()).toHaveAttribute('aria-label', SECOND);
    await expectComplete(page);
    const { chat, messages: stored } = await gateway.get<Schemas['ChatDetail']>(`/api/chats/${id}`);
    expect(chat.model).toBe(STARTER);
    expect(stored.map(({ model }) => model ?? null)).toEqual([null, STARTER, SECOND]);
  });
});

test('a response that calls a tool shows the call, and the messages after it', async ({ page, gateway }) => {
  const file = longChat(STARTER, 4);
  const [, calling, , last] = file.messages;
  if (calling === undefined || last === undefined) throw new Error('there are four messages');
  calling.content = [{ type: 'text', text: 'I read the file first.' }];
  calling.tool_calls = [{ id: 'a', name: 'read_file', arguments: '{"path":"src/retry.rs","lines":{"from":1}}' }];
  last.content = [{ type: 'text', text: 'The test depends on the order of two requests.' }];
  const { id } = await gateway.request<{ id: string }>('POST', '/api/chats/import', file);
  await page.goto(`/chat/${id}`);
  const response = messages(page).nth(1);
  await expect(response).toContainText('I read the file first.');
  await expect(response).toContainText('called');
  const call = response.getByText('read_file', { exact: true });
  await call.click();
  await expect(response.getByText('src/retry.rs')).toBeVisible();
  await expect(messages(page).last()).toContainText('The test depends on the order of two requests.');
});

test('a pasted file is attached, and a pasted text is not one', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/chat', 'New chat');
  const paste = (name: string | null) =>
    composer(page).evaluate((field, file) => {
      const data = new DataTransfer();
      if (file === null) data.setData('text/plain', 'text');
      else data.items.add(new File(['fn main() {}'], file, { type: 'text/plain' }));
      const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
      field.dispatchEvent(event);
      return event.defaultPrevented;
    }, name);
  expect(await paste(null)).toBe(false);
  expect(await paste('retry.rs')).toBe(true);
  await expect(page.getByRole('button', { name: 'Remove retry.rs' })).toBeVisible();
  await expect(page.getByText('storing')).toHaveCount(0);
  await expect(page.getByRole('listitem').filter({ hasText: 'retry.rs' })).toContainText(/12.B, \d+.tokens/);
  await composer(page).press('Enter');
  await expect(messages(page).first()).toContainText('retry.rs');
});

test('a file over the page shows where it can be dropped, and elsewhere the browser does not open it', async ({
  page,
}) => {
  await open(page, '/chat', 'New chat');
  const drag = (kind: string, target: string, related: string | null = null) =>
    page.evaluate(
      ([type, over, to]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File(['text'], 'a.txt'));
        const relatedTarget = to === null ? null : document.querySelector(to);
        const event = new DragEvent(type, { dataTransfer, relatedTarget, bubbles: true, cancelable: true });
        document.querySelector(over)?.dispatchEvent(event);
        return event.defaultPrevented;
      },
      [kind, target, related] as const,
    );
  const overlay = page.getByText('Drop text or code');
  expect(await drag('dragover', 'main section')).toBe(true);
  await expect(overlay).toBeVisible();
  await drag('dragleave', 'main section', 'main textarea');
  await expect(overlay).toBeVisible();
  await drag('dragleave', 'main section');
  await expect(overlay).toHaveCount(0);
  expect(await drag('dragover', 'body')).toBe(true);
  expect(await drag('drop', 'body')).toBe(true);
  await expect(overlay).toHaveCount(0);
});

test('what is pressed twice is sent once', async ({ page, gateway }) => {
  const id = await openChat(page, gateway);
  const edit = await hold(page, 'PATCH', /\/messages\//);
  await messages(page).first().getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('textbox', { name: 'Your message' }).fill('Two');
  await page.getByRole('button', { name: 'Send as new version' }).dblclick();
  await page.getByRole('textbox', { name: 'Your message' }).press('Control+Enter');
  await expect(page.getByRole('button', { name: 'Sending' })).toBeVisible();
  edit();
  await expect(messages(page).first()).toContainText('2/2');
  await expectComplete(page);

  const again = await hold(page, 'POST', /\/regenerate$/);
  await thread(page).focus();
  await page.keyboard.press('r');
  await page.keyboard.press('r');
  again();
  await expect(messages(page).last()).toContainText('2/2');
  await expectComplete(page);
  const { messages: stored } = await gateway.waitForResponse(id);
  expect(stored).toHaveLength(5);
});

test('what is typed into the settings stays when the chat changes elsewhere', async ({ page, gateway }) => {
  const id = await openChat(page, gateway);
  await menu(page, 'Settings of this chat');
  const dialog = page.getByRole('dialog', { name: 'Settings of this chat' });
  const prompt = dialog.getByRole('textbox', { name: /^System prompt/ });
  await prompt.fill('Be brief.');
  await gateway.request('PATCH', `/api/chats/${id}`, { title: 'Renamed' });
  await expect(page.locator('main h1')).toHaveText('Renamed');
  await expect(prompt).toHaveValue('Be brief.');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toHaveCount(0);
  const { chat } = await gateway.get<Schemas['ChatDetail']>(`/api/chats/${id}`);
  expect(chat).toMatchObject({ title: 'Renamed', system_prompt: 'Be brief.' });
});

test('the focus is where one goes on: after an edit, and after Stop', async ({ page, gateway }) => {
  await openChat(page, gateway);
  const edit = messages(page).first().getByRole('button', { name: 'Edit' });
  await edit.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('textbox', { name: 'Your message' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(edit).toBeFocused();

  const settings = { ...ENDLESS, max_tokens: 1_500 };
  const endless = await gateway.request<{ id: string }>('POST', '/api/chats', { model: STARTER, settings });
  await page.goto(`/chat/${endless.id}`);
  await say(page, 'Count.');
  const stop = page.getByRole('button', { name: 'Stop', exact: true });
  await expect(stop).toBeVisible();
  await expect(page.getByText('Esc stops the response, then Enter sends')).toBeVisible();
  await stop.focus();
  await page.keyboard.press('Enter');
  await expect(messages(page).last()).toContainText('Stopped');
  await expect(composer(page)).toBeFocused();
});

test('another version of a message has the files that are not removed', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  const content: Schemas['NewPart'][] = [{ type: 'text', text: 'Explain' }];
  for (const name of ['a.rs', 'b.rs']) {
    const file = { name, data: Buffer.from(`// ${name}`).toString('base64') };
    const { hash } = await gateway.request<Schemas['Attachment']>('POST', '/api/attachments', file);
    content.push({ type: 'attachment', hash });
  }
  const { id } = await gateway.request<{ id: string }>('POST', '/api/chats', { model: STARTER, settings: SHORT });
  await gateway.request('POST', `/api/chats/${id}/messages`, { content });
  await gateway.waitForResponse(id);
  await page.goto(`/chat/${id}`);
  await expectComplete(page);
  await messages(page).first().getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('button', { name: 'Remove b.rs' }).click();
  await page.getByRole('textbox', { name: 'Your message' }).fill('Explain it');
  await page.getByRole('button', { name: 'Send as new version' }).click();
  await expect(messages(page).first()).toContainText('2/2');
  await expect(messages(page).first()).toContainText('a.rs');
  await expect(messages(page).first()).not.toContainText('b.rs');
});

/** The page of a chat: messages, branches, files, templates and the list of chats. */

import { readFileSync } from 'node:fs';
import { attach, chatId, composer, expectComplete, longChat, messages, row, say, thread } from './support/chat';
import { ENDLESS, STARTER } from './support/gateway';
import { expectAccessible, expectNoHorizontalScroll, open } from './support/pages';
import { expect, test } from './support/test';

test.use({ models: [STARTER] });

const SHORT = { ...ENDLESS, max_tokens: 24 };

test('a first message gets a response, a chat with an address, and both are there after a reload', async ({
  page,
  gateway,
}) => {
  await gateway.load(STARTER);
  await open(page, '/chat', 'New chat');
  await expect(composer(page)).toBeFocused();
  await say(page, 'Say hello.');
  await expect(messages(page).first()).toContainText('Say hello.');
  await expectComplete(page);
  const id = await chatId(page);
  // Writing goes on where it was.
  await expect(composer(page)).toBeFocused();
  await expect(composer(page)).toHaveValue('');
  await expect(messages(page).last()).toContainText('tok/s');
  const current = page.getByRole('navigation', { name: 'Chats' }).locator('a[aria-current="page"]');
  await expect(current).toHaveAttribute('href', `/chat/${id}`);
  const text = await messages(page).last().innerText();
  await page.reload();
  await expect(messages(page)).toHaveCount(2);
  await expect(messages(page).last()).toContainText(text.split('\n')[1] ?? text);
  await expectAccessible(page);
});

test('opening an address creates nothing, and a draft is kept', async ({ page, gateway }) => {
  await open(page, `/chat?model=${STARTER}`, 'New chat');
  await composer(page).fill('Not sent yet');
  await page.goto('/servers');
  await open(page, '/chat', 'New chat');
  await expect(composer(page)).toHaveValue('Not sent yet');
  const { chats } = await gateway.get<{ chats: unknown[] }>('/api/chats');
  expect(chats).toEqual([]);
});

test.describe('with a chat', () => {
  test('edit and regenerate make branches, which are the same on another device', async ({
    page,
    context,
    gateway,
  }) => {
    const { chat } = await gateway.chat(STARTER, 'One', SHORT);
    await page.goto(`/chat/${chat.id}`);
    await expectComplete(page);
    await page.getByRole('button', { name: 'Regenerate' }).click();
    await expect(messages(page).last()).toContainText('2/2');
    await expectComplete(page);

    await messages(page).first().getByRole('button', { name: 'Edit' }).click();
    const field = page.getByRole('textbox', { name: 'Your message' });
    await expect(field).toHaveValue('One');
    await field.fill('Two');
    await page.getByRole('button', { name: 'Send as new version' }).click();
    await expect(messages(page).first()).toContainText('Two');
    await expect(messages(page).first()).toContainText('2/2');
    await expectComplete(page);

    const other = await context.newPage();
    await other.goto(`/chat/${chat.id}`);
    await expect(messages(other).first()).toContainText('Two');
    await messages(page).first().getByRole('button', { name: 'Previous version' }).click();
    await expect(messages(page).first()).toContainText('One');
    await expect(messages(page).last()).toContainText('2/2');
    // The open branch is that of the chat, and not of the tab.
    await expect(messages(other).first()).toContainText('One');
  });

  test('a deleted message comes back with Undo, with what followed it', async ({ page, gateway }) => {
    const { chat } = await gateway.chat(STARTER, 'One', SHORT);
    await page.goto(`/chat/${chat.id}`);
    await messages(page).first().getByRole('button', { name: 'Delete from here' }).click();
    await expect(messages(page)).toHaveCount(0);
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect(messages(page)).toHaveCount(2);
  });

  test('the request is shown as code, and the response is reproduced', async ({ page, gateway }) => {
    const { chat } = await gateway.chat(STARTER, 'Say "hi"', SHORT);
    await page.goto(`/chat/${chat.id}`);
    await messages(page).last().getByRole('button', { name: 'Request and receipt' }).click();
    const panel = page.getByRole('complementary', { name: 'Request' });
    await expect(panel).toContainText('curl -N');
    await panel.getByRole('radio', { name: 'Python' }).click();
    await expect(panel).toContainText('from openai import OpenAI');
    await panel.getByRole('button', { name: 'Reproduce' }).click();
    await expect(panel).toContainText('Identical');
    await page.keyboard.press('Escape');
    await expect(page).toHaveURL(/panel=request/);
  });

  test('it is found by its text, renamed, exported, deleted and restored', async ({ page, gateway }) => {
    const { chat } = await gateway.chat(STARTER, 'A zebra in the garden', SHORT);
    await gateway.chat(STARTER, 'Something else', SHORT);
    await page.goto(`/chat/${chat.id}`);
    const list = page.getByRole('navigation', { name: 'Chats' });
    await expect(list.getByRole('listitem')).toHaveCount(2);
    await page.getByRole('textbox', { name: 'Search chats' }).fill('zebra');
    await expect(list.getByRole('listitem')).toHaveCount(1);

    const entry = list.getByRole('listitem').first();
    const more = entry.getByRole('button', { name: /^More about/ });
    await more.click();
    await page.getByRole('menuitem', { name: 'Rename' }).click();
    await entry.getByRole('textbox', { name: 'Title' }).fill('Animals');
    await entry.getByRole('textbox', { name: 'Title' }).press('Enter');
    await expect(page.getByRole('heading', { level: 1, name: 'Animals' })).toBeVisible();
    await expect(row(page, chat.id)).toBeFocused();

    await more.click();
    const download = page.waitForEvent('download');
    await page.getByRole('menuitem', { name: 'Export as Markdown' }).click();
    expect(readFileSync(await (await download).path(), 'utf8')).toContain('zebra');

    await more.click();
    await page.getByRole('menuitem', { name: 'Delete' }).click();
    await expect(page.getByRole('heading', { level: 1, name: 'New chat' })).toBeVisible();
    await page.getByRole('button', { name: 'Undo' }).click();
    await expect(page.getByRole('heading', { level: 1, name: 'Animals' })).toBeVisible();
  });
});

test('files are attached by button and drop, and no image is sent', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/chat', 'New chat');
  await attach(page, 'retry.rs', 'fn main() {}');
  await expect(page.getByRole('button', { name: 'Remove retry.rs' })).toBeVisible();

  const drop = (name: string, type: string, bytes: number[]) =>
    page.evaluate(
      ([file, media, content]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(content)], file, { type: media }));
        const target = document.querySelector('main section');
        for (const kind of ['dragover', 'drop']) {
          target?.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }
      },
      [name, type, bytes] as const,
    );
  await drop('archive.zip', 'application/zip', [0x50, 0x4b, 3, 4, 0]);
  await expect(page.getByText('archive.zip is neither text nor an image.')).toBeVisible();
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  await drop('dot.png', 'image/png', [...Buffer.from(png, 'base64')]);
  const reason = 'No model can read images yet. Remove the image to send.';
  await expect(page.getByText(reason).first()).toBeVisible();
  await composer(page).fill('What is this?');
  await expect(page.getByRole('button', { name: /^Send\s*: No model can read/ })).toHaveAttribute(
    'aria-disabled',
    'true',
  );
  await page.getByRole('button', { name: 'Remove dot.png' }).click();

  await say(page, 'What is this?');
  await expect(messages(page).first()).toContainText('retry.rs');
  await expect(page.getByRole('button', { name: 'Stop', exact: true })).toBeVisible();
  await composer(page).press('Escape');
  await expectComplete(page);
});

test('a template is inserted by its name, and asks for its variables', async ({ page, gateway }) => {
  await gateway.request('POST', '/api/prompts', { name: 'translate', text: 'Translate into {{language}}: ' });
  await open(page, '/chat', 'New chat');
  await composer(page).pressSequentially('/tra');
  await expect(page.getByRole('option', { name: /translate/ })).toBeVisible();
  await composer(page).press('Enter');
  await page.getByRole('textbox', { name: 'language' }).fill('Latin');
  await page.keyboard.press('Enter');
  await expect(composer(page)).toHaveValue('Translate into Latin: ');
});

test('a chat works with the keyboard alone', async ({ page, gateway }) => {
  await gateway.load(STARTER);
  await open(page, '/servers', 'Servers');
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await expect(composer(page)).toBeFocused();
  await page.keyboard.type('One');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('line');
  await page.keyboard.press('Enter');
  await expectComplete(page);
  await expect(messages(page).first()).toContainText('One\nline', { useInnerText: true });

  await page.keyboard.press('ArrowUp');
  const field = page.getByRole('textbox', { name: 'Your message' });
  await expect(field).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(field).toHaveCount(0);
  await expect(composer(page)).toBeFocused();

  await thread(page).focus();
  await page.keyboard.press('r');
  await expect(messages(page).last()).toContainText('2/2');
  await expectComplete(page);
  await page.keyboard.press('l');
  await expect(page.getByRole('complementary', { name: 'Log' })).toBeVisible();
  await page.keyboard.press('n');
  await expect(page.getByRole('heading', { level: 1, name: 'New chat' })).toBeVisible();
  await expect(composer(page)).toBeFocused();
});

test('a chat with 500 messages opens at its end, and its text can be searched', async ({ page, gateway }) => {
  const { id } = await gateway.request<{ id: string }>('POST', '/api/chats/import', longChat(STARTER, 500));
  await page.goto(`/chat/${id}`);
  await expect(messages(page).last()).toContainText('Message number 500.');
  await expect(messages(page).last()).toBeInViewport();
  await expect(messages(page)).toHaveCount(500);
  // All text is there for the browser's search; only what was on the screen is formatted.
  await expect(messages(page).first()).toContainText('Message number 1.');
  expect(await thread(page).locator('pre').count()).toBeLessThan(50);
  await messages(page).first().scrollIntoViewIfNeeded();
  await expect(page.getByRole('button', { name: 'Jump to latest' })).toBeVisible();
  await page.getByRole('button', { name: 'Jump to latest' }).click();
  await expect(messages(page).last()).toBeInViewport();
  await expect(thread(page)).toBeFocused();
});

test.describe('on a phone', () => {
  test.use({ viewport: { width: 360, height: 740 } });

  test('a chat fits, and its list and log are sheets', async ({ page, gateway }) => {
    const { chat } = await gateway.chat(STARTER, 'A `very-long-identifier-'.padEnd(200, 'x'), SHORT);
    await page.goto(`/chat/${chat.id}`);
    await expectComplete(page);
    await expectNoHorizontalScroll(page);
    await expect(composer(page)).toBeInViewport();
    await page.getByRole('button', { name: 'Chats', exact: true }).click();
    const sheet = page.getByRole('dialog', { name: 'Chats' });
    await expect(sheet.getByRole('link')).toHaveCount(1);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Log', exact: true }).click();
    await expect(page.getByRole('dialog', { name: 'Log' })).toBeVisible();
    await page.keyboard.press('Escape');
    await say(page, 'More');
    await expect(messages(page)).toHaveCount(4);
    await expectNoHorizontalScroll(page);
  });
});

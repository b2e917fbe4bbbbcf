/** The page of a chat, as people see it. */

import { type Locator, type Page, expect } from '@playwright/test';
import type { components } from '../../src/lib/api/schema';
import type { Gateway } from './gateway';

type Schemas = components['schemas'];

/** Where a message is written. */
export function composer(page: Page): Locator {
  return page.getByRole('textbox', { name: 'Message', exact: true });
}

export function thread(page: Page): Locator {
  return page.getByRole('log', { name: 'Conversation' });
}

/** The messages of the open branch, from the first on. */
export function messages(page: Page): Locator {
  return thread(page).locator('[data-message]');
}

/** The link of a chat in the list. */
export function row(page: Page, id: string): Locator {
  return page.getByRole('navigation', { name: 'Chats' }).locator(`a[href^="/chat/${id}"]`);
}

/** Attaches a text file with the button. */
export async function attach(page: Page, name: string, text: string): Promise<void> {
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Attach files' }).click();
  await (await chooser).setFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
}

/** Holds requests back until the function is called that it returns. */
export async function hold(page: Page, method: string, address: RegExp): Promise<() => void> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(address, async (route) => {
    if (route.request().method() === method) await released;
    await route.continue();
  });
  return () => release();
}

/** Writes a message and sends it with Enter. */
export async function say(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  // Models may still be loading.
  await expect(page.getByRole('button', { name: 'Send', exact: true })).toBeEnabled();
  await composer(page).press('Enter');
}

/** The response is complete: it can be generated again. */
export async function expectComplete(page: Page): Promise<void> {
  await expect(messages(page).last().getByRole('button', { name: 'Regenerate' })).toBeVisible();
}

/** The id of the chat in the address. */
export async function chatId(page: Page): Promise<string> {
  await expect(page).toHaveURL(/\/chat\/[0-9a-f-]{36}/);
  return new URL(page.url()).pathname.split('/').at(-1) ?? '';
}

/** A chat with a branch of many messages, as an export has it. */
export function longChat(model: string, count: number): Schemas['ChatExport'] {
  const id = (index: number): string => `01890000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;
  const texts = [
    'Plain text with **strong words** and `code`.',
    '- one\n- two\n\n1. first',
    '```rust\nfn main() {}\n```',
  ];
  const entries = Array.from({ length: count }, (_, index): Schemas['Message'] => ({
    id: id(index + 1),
    parent_id: index === 0 ? null : id(index),
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: [{ type: 'text', text: `Message number ${index + 1}.\n\n${texts[index % texts.length]}` }],
    state: 'complete',
    created_at_ms: 1_700_000_000_000 + index,
    ...(index % 2 === 0 ? {} : { model, finish_reason: 'stop' as const }),
  }));
  return {
    version: 1,
    chat: {
      id: id(count + 1),
      title: 'A long chat',
      model,
      protocol: 'openai',
      settings: {},
      tags: [],
      is_pinned: false,
      is_temporary: false,
      leaf_id: id(count),
      message_count: count,
      created_at_ms: 1_700_000_000_000,
      updated_at_ms: 1_700_000_000_000 + count,
    },
    messages: entries,
  };
}

/** The text of a chat's last message, as the gateway has it. */
export async function lastText(gateway: Gateway, chat: string): Promise<string> {
  const { messages: all } = await gateway.get<Schemas['ChatDetail']>(`/api/chats/${chat}`);
  const parts = all.at(-1)?.content ?? [];
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

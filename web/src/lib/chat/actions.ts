// What users do with chats and messages, with what they are told about it.
import { goto } from '$app/navigation';
import type { Chat, Message, NewPart, Problem, Result, RunOptions } from '$lib/api';
import { plural } from '$lib/format';
import { tell } from '$lib/servers/actions';
import { toasts } from '$lib/ui';
import { chatPath } from '$lib/url';
import type { Draft } from './composer.svelte';
import { chats } from './list.svelte';
import type { OpenChat } from './store.svelte';
import { titleOf } from './titles';

/** Says why something failed. Returns whether it did not. */
export function report(action: string, problem: Problem | null): boolean {
  if (problem !== null) tell(action, problem);
  return problem === null;
}

async function reported<T>(action: string, request: Promise<Result<T>>): Promise<Result<T>> {
  const result = await request;
  if (!result.ok) tell(action, result.problem);
  return result;
}

export async function regenerate(chat: OpenChat, message: string, options: RunOptions = {}): Promise<void> {
  // A key or button that is pressed twice means one response.
  if (chat.isPending(message)) return;
  await reported('Could not regenerate the response', chat.regenerate(message, options));
}

export async function continueResponse(chat: OpenChat, message: string): Promise<void> {
  if (chat.isPending(message)) return;
  await reported('The response was not continued', chat.continue(message));
}

/** Another version of a message, once. Returns whether it is there. */
export async function editMessage(chat: OpenChat, message: Message, content: readonly NewPart[]): Promise<boolean> {
  if (chat.isPending(message.id)) return false;
  const action = message.role === 'user' ? 'The message was not sent' : 'The response was not changed';
  return (await reported(action, chat.edit(message.id, content))).ok;
}

export async function stopRun(chat: OpenChat, run: string): Promise<void> {
  await reported('The response was not stopped', chat.stop(run));
}

export async function openBranch(chat: OpenChat, message: string): Promise<void> {
  await reported('The branch was not opened', chat.open(message));
}

/** A message and what follows it, with Undo. */
export async function removeMessage(chat: OpenChat, message: Message): Promise<void> {
  const result = await reported('The message was not deleted', chat.remove(message.id));
  if (!result.ok) return;
  toasts.add({
    title: `${plural(result.value.length, 'message')} deleted`,
    undo: () => void reported('The messages were not restored', chat.restore(result.value)),
  });
}

export async function fork(chat: OpenChat, message: string): Promise<void> {
  const result = await reported('Could not copy the chat', chat.fork(message));
  if (!result.ok) return;
  chats.add(result.value);
  await goto(chatPath(result.value.id));
}

/** A new chat with the settings of this one and none of its messages. What is being written goes there. */
export async function startAgain(chat: Chat, draft: Draft): Promise<void> {
  const { model, protocol, persona_id, system_prompt, settings, tags, is_temporary } = chat;
  const config = { model, protocol, persona_id, system_prompt, settings, tags, is_temporary };
  const result = await reported('Could not begin a new chat', chats.create(config));
  if (!result.ok) return;
  draft.move(result.value.id);
  await goto(chatPath(result.value.id), { keepFocus: true });
}

/** Deletes a chat, with Undo. `isOpen`: its page is left. */
export async function removeChat(chat: Chat, isOpen: boolean): Promise<void> {
  const title = titleOf(chat);
  const result = await reported(`${title} was not deleted`, chats.remove(chat.id));
  if (!result.ok) return;
  toasts.add({
    title: `${title} deleted`,
    undo: () =>
      void reported(`${title} was not restored`, chats.restore(chat.id)).then((restored) => {
        if (restored.ok && isOpen) void goto(chatPath(chat.id));
      }),
  });
  if (isOpen) await goto(chatPath(null));
}

export async function pinChat(chat: Chat): Promise<void> {
  await reported(`${titleOf(chat)} was not changed`, chats.change(chat.id, { is_pinned: !chat.is_pinned }));
}

export async function renameChat(chat: Chat, title: string): Promise<void> {
  const changes = { title: title.trim() === '' ? null : title };
  await reported(`${titleOf(chat)} was not renamed`, chats.change(chat.id, changes));
}

/** A file that was exported, as a new chat. */
export async function importChat(file: File): Promise<void> {
  let content: unknown;
  try {
    content = JSON.parse(await file.text());
  } catch {
    toasts.add({
      title: `${file.name} was not imported`,
      detail: 'It is not the JSON of an exported chat.',
      tone: 'bad',
    });
    return;
  }
  // The gateway checks what it has.
  const result = await reported(
    `${file.name} was not imported`,
    chats.import(content as Parameters<typeof chats.import>[0]),
  );
  if (result.ok) await goto(chatPath(result.value.id));
}

/** All branches as JSON, or the open one as Markdown, as a file of the browser. */
export function exportChat(chat: string, format: 'json' | 'markdown'): void {
  const link = document.createElement('a');
  link.href = `/api/chats/${chat}/export?format=${format}`;
  link.download = '';
  link.click();
}

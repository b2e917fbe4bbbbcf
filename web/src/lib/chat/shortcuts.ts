// Shortcuts of the page of a chat.
import type { Shortcut } from '$lib/shell/shortcuts.svelte';

/** What they do. */
export interface ChatCommands {
  create: () => void;
  log: () => void;
  panel: () => void;
  regenerate: () => void;
  edit: () => void;
  write: () => void;
}

export function chatShortcuts(commands: ChatCommands): Shortcut[] {
  const entries: [string, string, string, () => void][] = [
    ['chat-new', 'New chat', 'n', commands.create],
    ['chat-write', 'Write a message', 'i', commands.write],
    ['chat-regenerate', 'Regenerate the last response', 'r', commands.regenerate],
    ['chat-edit', 'Edit the last message', 'e', commands.edit],
    ['chat-log', 'Log of the server', 'l', commands.log],
    ['chat-panel', 'Request of the response', 'mod+/', commands.panel],
  ];
  return entries.map(([id, label, keys, run]) => ({ id, label, keys, group: 'This page', run }));
}

import { goto } from '$app/navigation';
import { administration, destinations } from './navigation';
import { focusSearch, moveRow } from './rows';
import { shell } from './shell.svelte';
import { shortcuts, type Shortcut } from './shortcuts.svelte';

/** The shortcuts that every page has. */
function common(): Shortcut[] {
  const pages = [...destinations, ...administration].map(({ href, label, key }): Shortcut => ({
    id: `go:${href}`,
    label,
    keys: `g ${key}`,
    group: 'Go to',
    run: () => void goto(href),
  }));
  return [
    {
      id: 'palette',
      label: 'Search and commands',
      keys: 'mod+k',
      group: 'Everywhere',
      run: () => (shell.palette = true),
    },
    { id: 'search', label: 'Search this page', keys: '/', group: 'Everywhere', run: () => void focusSearch() },
    { id: 'next', label: 'Next row', keys: 'j', group: 'Everywhere', run: () => moveRow(1) },
    { id: 'previous', label: 'Previous row', keys: 'k', group: 'Everywhere', run: () => moveRow(-1) },
    { id: 'rail', label: 'Toggle labels of pages', keys: '[', group: 'Everywhere', run: () => shell.toggleRail() },
    { id: 'new-chat', label: 'New chat', keys: 'mod+shift+o', group: 'Everywhere', run: () => void goto('/chat') },
    { id: 'help', label: 'Keyboard shortcuts', keys: '?', group: 'Everywhere', run: () => (shell.help = true) },
    ...pages,
  ];
}

/** Adds them and listens to keys. Returns how to stop. */
export function startShortcuts(): () => void {
  const remove = shortcuts.register(common());
  const stop = shortcuts.start();
  return () => {
    stop();
    remove();
  };
}

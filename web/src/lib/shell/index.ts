/** The frame around every page. A new page adds an entry to navigation.ts. */
export { default as Appearance } from './Appearance.svelte';
export { default as Shell } from './Shell.svelte';
export { destinations, administration, type Destination } from './navigation';
export { shortcuts, type Shortcut } from './shortcuts.svelte';
export { theme, type ThemeChoice } from './theme.svelte';

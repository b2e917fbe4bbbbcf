import Boxes from '@lucide/svelte/icons/boxes';
import MessageSquare from '@lucide/svelte/icons/message-square';
import Plug from '@lucide/svelte/icons/plug';
import ScrollText from '@lucide/svelte/icons/scroll-text';
import Server from '@lucide/svelte/icons/server';
import Settings from '@lucide/svelte/icons/settings';
import SlidersHorizontal from '@lucide/svelte/icons/sliders-horizontal';
import type { IconType } from '$lib/ui';

/** A page of the rail. A new module adds one entry here, and nothing else of the shell. */
export interface Destination {
  href: string;
  label: string;
  icon: IconType;
  /** The letter that follows `g`. */
  key: string;
}

/** What the machine does. */
export const destinations: Destination[] = [
  { href: '/chat', label: 'Chat', icon: MessageSquare, key: 'c' },
  { href: '/servers', label: 'Servers', icon: Server, key: 's' },
  { href: '/models', label: 'Models', icon: Boxes, key: 'm' },
  { href: '/profiles', label: 'Profiles', icon: SlidersHorizontal, key: 'p' },
  { href: '/connect', label: 'Connect', icon: Plug, key: 'k' },
  { href: '/logs', label: 'Logs', icon: ScrollText, key: 'l' },
];

/** What is needed less often. */
export const administration: Destination[] = [{ href: '/settings', label: 'Settings', icon: Settings, key: ',' }];

/** Whether `path` is the page of `href`, or one below it. */
export function isCurrent(href: string, path: string): boolean {
  return path === href || path.startsWith(`${href}/`);
}

import Boxes from '@lucide/svelte/icons/boxes';
import MessageSquare from '@lucide/svelte/icons/message-square';
import MessageSquarePlus from '@lucide/svelte/icons/message-square-plus';
import Keyboard from '@lucide/svelte/icons/keyboard';
import Moon from '@lucide/svelte/icons/moon';
import PanelLeft from '@lucide/svelte/icons/panel-left';
import Play from '@lucide/svelte/icons/play';
import Plus from '@lucide/svelte/icons/plus';
import Server from '@lucide/svelte/icons/server';
import SlidersHorizontal from '@lucide/svelte/icons/sliders-horizontal';
import Square from '@lucide/svelte/icons/square';
import Sun from '@lucide/svelte/icons/sun';
import type { PoolPlanRequest } from '$lib/api';
import { chats } from '$lib/chat/list.svelte';
import { chatHref } from '$lib/chat/targets';
import { titleOf } from '$lib/chat/titles';
import { modelHref } from '$lib/models/names';
import { models } from '$lib/models/store.svelte';
import { profiles } from '$lib/profiles/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { administration, destinations } from '$lib/shell/navigation';
import { shell } from '$lib/shell/shell.svelte';
import { theme } from '$lib/shell/theme.svelte';
import { toasts, type IconType } from '$lib/ui';
import { chatPath } from '$lib/url';

export interface Entry {
  /** Unique, and the value by which the list knows it. */
  id: string;
  label: string;
  detail?: string | undefined;
  icon: IconType;
  group: 'Pages' | 'Chats' | 'Running' | 'Start' | 'Models' | 'Profiles' | 'Actions';
  keywords?: string[];
  keys?: string;
  href?: string;
  run?: () => void;
  /** What pointing at it previews in the memory strip. */
  preview?: PoolPlanRequest;
}

/** Everything that the palette finds, from what the stores have. */
export function entries(): Entry[] {
  return [...pages(), ...recentChats(), ...running(), ...starts(), ...localModels(), ...savedProfiles(), ...actions()];
}

function pages(): Entry[] {
  return [...destinations, ...administration].map(({ href, label, icon, key }) => ({
    id: `page:${href}`,
    label,
    icon,
    group: 'Pages',
    href,
    keys: `g ${key}`,
  }));
}

/** Those of the list, as it was read last. */
function recentChats(): Entry[] {
  return chats.list.map(({ chat }) => ({
    id: `chat:${chat.id}`,
    label: titleOf(chat),
    icon: MessageSquare,
    group: 'Chats',
    keywords: chat.tags,
    href: chatPath(chat.id),
  }));
}

function running(): Entry[] {
  return servers.running.flatMap((server): Entry[] => [
    {
      id: `server:${server.id}`,
      label: server.name,
      detail: server.state,
      icon: Server,
      group: 'Running',
      keywords: server.profiles,
      href: `/servers/${server.id}`,
    },
    {
      id: `chat-with:${server.id}`,
      label: `Chat with ${server.name}`,
      icon: MessageSquarePlus,
      group: 'Running',
      keywords: server.profiles,
      href: chatHref(server.profiles[0] ?? server.name),
    },
    {
      id: `stop:${server.id}`,
      label: `Stop ${server.name}`,
      detail: server.running > 0 ? `${server.running} running` : undefined,
      icon: Square,
      group: 'Running',
      keywords: ['unload', ...server.profiles],
      // A busy server is stopped on its own page, which says what would be interrupted.
      ...(server.running > 0
        ? { href: `/servers/${server.id}` }
        : { run: () => void report(servers.stop(server.id), `${server.name} stops`) }),
    },
  ]);
}

function starts(): Entry[] {
  const idle = models.list.filter((model) => model.complete && !models.isLoaded(model.name));
  return [
    ...profiles.list
      .filter((profile) => servers.ofProfile(profile.config.name) === undefined)
      .map((profile): Entry => ({
        id: `start-profile:${profile.id}`,
        label: `Start ${profile.config.name}`,
        detail: 'profile',
        icon: Play,
        group: 'Start',
        keywords: ['load', 'run'],
        run: () =>
          void report(servers.start({ profile: profile.config.name, dry_run: false }), `${profile.config.name} starts`),
        preview: { profile: profile.config.name },
      })),
    ...idle.map((model): Entry => ({
      id: `start-model:${model.name}`,
      label: `Start ${model.name}`,
      icon: Play,
      group: 'Start',
      keywords: ['load', 'run'],
      run: () => void report(servers.start({ model: model.name, dry_run: false }), `${model.name} starts`),
      preview: { model: model.name },
    })),
  ];
}

function localModels(): Entry[] {
  return models.list.map((model) => ({
    id: `model:${model.name}`,
    label: model.name,
    icon: Boxes,
    group: 'Models',
    href: modelHref(model.name),
  }));
}

function savedProfiles(): Entry[] {
  return profiles.list.map((profile) => ({
    id: `profile:${profile.id}`,
    label: profile.config.name,
    icon: SlidersHorizontal,
    group: 'Profiles',
    href: `/profiles/${profile.id}`,
  }));
}

function actions(): Entry[] {
  return [
    { id: 'new-chat', label: 'New chat', icon: MessageSquarePlus, group: 'Actions', href: '/chat' },
    { id: 'new-profile', label: 'New profile', icon: Plus, group: 'Actions', href: '/profiles/new' },
    {
      id: 'theme',
      label: theme.isDark ? 'Light theme' : 'Dark theme',
      icon: theme.isDark ? Sun : Moon,
      group: 'Actions',
      keywords: ['appearance', 'color'],
      run: () => (theme.choice = theme.isDark ? 'light' : 'dark'),
    },
    { id: 'rail', label: 'Toggle labels of pages', icon: PanelLeft, group: 'Actions', run: () => shell.toggleRail() },
    { id: 'help', label: 'Keyboard shortcuts', icon: Keyboard, group: 'Actions', run: () => (shell.help = true) },
  ];
}

async function report(
  action: Promise<{ ok: true } | { ok: false; problem: { title: string; detail: string; advice: string | null } }>,
  done: string,
): Promise<void> {
  const result = await action;
  if (result.ok) toasts.add({ title: done, href: '/servers', hrefLabel: 'Servers' });
  else toasts.problem(result.problem);
}

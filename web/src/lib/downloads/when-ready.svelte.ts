// Downloads whose model is started as soon as it is complete. The gateway does not know of it: it is done by the tab in which it
// was chosen, also after a reload, while that tab is open.

import { SvelteSet } from 'svelte/reactivity';
import { chatHref } from '$lib/chat/targets';
import { models } from '$lib/models/store.svelte';
import { servers } from '$lib/servers/store.svelte';
import { toasts } from '$lib/ui';
import { causeOf } from './report';
import { downloads } from './store.svelte';
import { readyOf, type Progressing } from './ready';

const KEY = 'mlxm.start-when-ready';

class WhenReady {
  readonly #repos = new SvelteSet<string>();
  #isWatching = false;

  constructor() {
    for (const repo of stored()) this.#repos.add(repo);
    if (this.#repos.size > 0) this.#watch();
  }

  has(repo: string): boolean {
    return this.#repos.has(repo);
  }

  set(repo: string, isWanted: boolean): void {
    if (isWanted) this.#repos.add(repo);
    else this.#repos.delete(repo);
    store([...this.#repos]);
    if (isWanted) this.#watch();
  }

  /** For the life of the tab: leaving the page on which it was chosen changes nothing. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    void downloads.load();
    void models.load();
    $effect.root(() => {
      $effect(() => {
        for (const repo of [...this.#repos]) {
          const state = readyOf(this.#progress(repo));
          if (state === 'wait') continue;
          this.set(repo, false);
          if (state === 'start') void this.#start(repo);
        }
      });
    });
  }

  #progress(repo: string): Progressing {
    return {
      state: downloads.ofRepo(repo)?.state ?? null,
      isComplete: models.find(repo)?.complete ?? false,
    };
  }

  async #start(repo: string): Promise<void> {
    const result = await servers.start({ model: repo });
    if (result.ok) {
      toasts.add({ title: `${repo} is downloaded and starts`, tone: 'ok', href: chatHref(repo), hrefLabel: 'Chat' });
    } else {
      toasts.add({
        title: `${repo} is downloaded, but was not started`,
        detail: causeOf(result.problem),
        tone: 'bad',
      });
    }
  }
}

// Storage can be denied; the wish then lasts until a reload.
function stored(): string[] {
  try {
    const value: unknown = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return Array.isArray(value) ? value.filter((repo) => typeof repo === 'string') : [];
  } catch {
    return [];
  }
}

function store(repos: string[]): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(repos));
  } catch {
    return;
  }
}

export const whenReady = new WhenReady();

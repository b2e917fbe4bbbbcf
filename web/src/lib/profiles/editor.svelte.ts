/** What the page of a profile does: saving, starting and restarting, with the draft in the browser's storage. */
import { goto } from '$app/navigation';
import type { Profile, Server } from '$lib/api';
import { servers } from '$lib/servers/store.svelte';
import { toasts } from '$lib/ui';
import { refreshServers, restart, start } from './actions';
import { withEffect } from './changes';
import type { ProfileForm } from './form.svelte';
import { isActive } from './state';
import { readStored, writeStored } from './storage';

export class Editor {
  /** Whether the differences are shown before saving. */
  isConfirming = $state(false);
  /** Whether the draft comes from an earlier visit. */
  isRestored = $state(false);
  readonly form: ProfileForm;
  /** The server that runs with the saved settings. */
  readonly server: Server | undefined = $derived.by(() => {
    const server = servers.ofProfile(this.form.saved.name);
    return isActive(server) ? server : undefined;
  });

  constructor(form: ProfileForm, storage: Storage, isFresh: boolean) {
    this.form = form;
    const draft = isFresh ? null : readStored(storage, form.id);
    if (!draft) return;
    form.restore(draft);
    this.isRestored = form.isChanged;
  }

  /** Keeps the draft in the storage as long as it differs from what is saved. */
  keep(storage: Storage): void {
    writeStored(storage, this.form.id, this.form.isEdited ? this.form.stored : null);
  }

  /** Whether the running server does not have the settings of the draft. */
  get needsRestart(): boolean {
    return this.server !== undefined && withEffect(this.form.changes, 'restart').length > 0;
  }

  /** Saves at once, or shows the differences first if the server has to be restarted. */
  async save(): Promise<boolean> {
    if (this.needsRestart && this.form.errorCount === 0) {
      this.isConfirming = true;
      return true;
    }
    return (await this.#save()) !== null;
  }

  /** Saves, and starts the server. */
  async saveAndStart(): Promise<boolean> {
    const profile = this.form.isChanged || this.form.id === null ? await this.#save() : undefined;
    if (profile === null) return false;
    await start(this.form.saved.name);
    return true;
  }

  /** Saves after the differences were shown. */
  async confirm(withRestart: boolean): Promise<boolean> {
    const old = this.server;
    const isShared = old?.profiles.some((name) => name !== this.form.saved.name) ?? false;
    const profile = await this.#save();
    this.isConfirming = false;
    if (!profile) return false;
    if (old && withRestart) await restart(profile.config.name, old, isShared);
    return true;
  }

  async #save(): Promise<Profile | null> {
    const isNew = this.form.id === null;
    const immediate = withEffect(this.form.changes, 'immediate').length > 0;
    const profile = await this.form.save();
    if (!profile) return null;
    this.isRestored = false;
    refreshServers();
    if (isNew) {
      writeStored(localStorage, null, null);
      toasts.add({ title: `${profile.config.name} was created` });
      await goto(`/profiles/${profile.id}`, { replaceState: true });
    } else {
      const detail = immediate ? 'The next request uses the new settings.' : undefined;
      toasts.add({ title: `${profile.config.name} was saved`, detail, tone: 'ok' });
    }
    return profile;
  }
}

/** A profile while it is edited: its draft, what is wrong with it, and how it is saved. */
import type { Problem } from '$lib/api';
import { type PoolPlanRequest, type Profile, type ProfileConfig } from '$lib/api';
import { changesOf, type Change } from './changes';
import { emptyConfig, readDraft, toDraft, type Reading } from './draft';
import { fieldAt, type FlagPath } from './fields';
import { portHolder } from './ports';
import { profiles } from './store.svelte';

/** A text that the gateway has rejected, and why. */
interface Rejected {
  readonly text: string;
  readonly message: string;
}

/** What a draft in the browser's storage consists of. */
export interface StoredDraft {
  readonly texts: Record<string, string>;
  readonly flags: Record<FlagPath, boolean>;
}

export class ProfileForm {
  /** Id of the profile; null before it was saved. */
  id = $state.raw<string | null>(null);
  /** Why saving failed, unless the fields say all of it. */
  problem = $state.raw<Problem | null>(null);
  isSaving = $state(false);

  #texts = $state<Record<string, string>>({});
  #flags = $state<Record<FlagPath, boolean>>({ auto_start: false, is_pinned: false });
  #base = $state.raw<ProfileConfig>(emptyConfig());
  #updatedAtMs = $state(0);
  /** Fields whose errors are shown: those that were edited. */
  #edited = $state<Record<string, boolean>>({});
  #attempted = $state(false);
  #rejected = $state.raw<Record<string, Rejected>>({});
  #reading: Reading = $derived.by(() => readDraft({ texts: this.#texts, flags: this.#flags, base: this.#base }));
  #changes: Change[] = $derived(changesOf(this.#base, this.#reading.config));

  /** A saved profile, or a new one with what is known about it. */
  constructor(profile: Profile | null, initial: Partial<ProfileConfig> = {}) {
    if (profile) this.rebase(profile);
    else this.#reset({ ...emptyConfig(), ...initial });
    if (!profile) this.#base = emptyConfig();
  }

  /** Replaces the draft by the saved profile. */
  rebase(profile: Profile): void {
    this.id = profile.id;
    this.#updatedAtMs = profile.updated_at_ms;
    this.#reset(profile.config);
  }

  #reset(config: ProfileConfig): void {
    const draft = toDraft(config);
    this.#texts = draft.texts;
    this.#flags = draft.flags;
    this.#base = config;
    this.#edited = {};
    this.#attempted = false;
    this.#rejected = {};
    this.problem = null;
  }

  /** The configuration as it is saved at the moment. */
  get saved(): ProfileConfig {
    return this.#base;
  }

  /** The configuration of the draft. */
  get config(): ProfileConfig {
    return this.#reading.config;
  }

  /** What a save would change. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** Whether there is something to save. */
  get isChanged(): boolean {
    return this.#changes.length > 0 || Object.keys(this.#reading.errors).some((path) => this.#edited[path] === true);
  }

  /** Whether the user has changed anything. */
  get isEdited(): boolean {
    const { auto_start: autoStart = false, is_pinned: isPinned = false } = this.#base;
    const hasFlags = this.#flags.auto_start !== autoStart || this.#flags.is_pinned !== isPinned;
    return hasFlags || (this.isChanged && Object.keys(this.#edited).length > 0);
  }

  /** Whether the profile was changed elsewhere since the draft was made. */
  isOutdated(profile: Profile): boolean {
    return profile.updated_at_ms !== this.#updatedAtMs;
  }

  text(path: string): string {
    return this.#texts[path] ?? '';
  }

  edit(path: string, text: string): void {
    if (this.text(path) === text) return;
    this.#texts[path] = text;
    this.#edited[path] = true;
  }

  flag(path: FlagPath): boolean {
    return this.#flags[path];
  }

  setFlag(path: FlagPath, value: boolean): void {
    this.#flags[path] = value;
  }

  /** What is wrong with a field, once it was edited or saving was tried. */
  error(path: string): string | undefined {
    const rejected = this.#rejected[path];
    if (rejected?.text === this.text(path)) return rejected.message;
    if (!this.#attempted && this.#edited[path] !== true) return undefined;
    return this.#reading.errors[path] ?? (path === 'port' ? this.#portError() : undefined);
  }

  #portError(): string | undefined {
    const holder = portHolder(profiles.list, this.config.port, this.id);
    return holder && `Port ${String(this.config.port)} is that of the profile ${holder}.`;
  }

  /** Number of fields with an error. */
  get errorCount(): number {
    const paths = Object.keys(this.#reading.errors);
    return paths.length + (this.#portError() && !paths.includes('port') ? 1 : 0);
  }

  /** What the pool is asked about: null while the model is missing or a load setting is not valid. */
  get planRequest(): PoolPlanRequest | null {
    const { config, errors } = this.#reading;
    if (config.model === '' || Object.keys(errors).some((path) => path.startsWith('load.'))) return null;
    return { model: config.model, settings: config.load ?? {} };
  }

  /** Saves the draft. Null after a failure, which the form shows. */
  async save(): Promise<Profile | null> {
    this.#attempted = true;
    this.problem = null;
    if (this.errorCount > 0 || this.isSaving) return null;
    this.isSaving = true;
    const { config } = this;
    const result = this.id === null ? await profiles.create(config) : await profiles.update(this.id, config);
    this.isSaving = false;
    if (!result.ok) {
      this.#reject(result.problem);
      return null;
    }
    this.rebase(result.value);
    return result.value;
  }

  #reject(problem: Problem): void {
    const rejected: Record<string, Rejected> = {};
    for (const error of problem.errors) {
      const path = fieldAt(error.field)?.path;
      if (path === undefined) continue;
      const advice = path === 'port' && problem.advice !== null ? `; ${problem.advice}` : '';
      rejected[path] ??= { text: this.text(path), message: sentence(error.message + advice) };
    }
    this.#rejected = rejected;
    const isShown = problem.errors.length > 0 && problem.errors.every((error) => fieldAt(error.field) !== undefined);
    this.problem = isShown ? null : problem;
  }

  /** The draft for the browser's storage. */
  get stored(): StoredDraft {
    return { texts: { ...this.#texts }, flags: { ...this.#flags } };
  }

  /** Continues with a draft of the browser's storage. */
  restore(draft: StoredDraft): void {
    for (const [path, text] of Object.entries(draft.texts)) this.edit(path, text);
    this.#flags = { ...this.#flags, ...draft.flags };
  }

  /** Drops all changes. */
  discard(): void {
    this.#reset(this.#base);
  }
}

/** Messages of the gateway as sentences: they begin with a small letter and have no point. */
function sentence(text: string): string {
  const [first = ''] = text;
  return `${first.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}

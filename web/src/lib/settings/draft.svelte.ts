/** The settings of one section while they are edited. They are saved together: all of them, or none. */
import type { Problem, Setting } from '$lib/api';
import { settings } from './store.svelte';
import { format, isEqual, parse } from './value';

export class SectionDraft {
  /** Why saving failed, unless the fields say it. */
  problem = $state.raw<Problem | null>(null);
  isSaving = $state(false);

  /** Texts that were edited, by key. */
  #texts = $state<Record<string, string>>({});
  /** What the gateway says about a text. */
  #rejected = $state.raw<Record<string, { text: string; message: string }>>({});

  /** What a field shows. */
  text(setting: Setting): string {
    return this.#texts[setting.key] ?? format(setting, setting.value);
  }

  edit(setting: Setting, text: string): void {
    if (text === format(setting, setting.value)) this.drop(setting);
    else this.#texts[setting.key] = text;
  }

  /** Back to the saved value. */
  drop(setting: Setting): void {
    const { [setting.key]: _, ...rest } = this.#texts;
    this.#texts = rest;
  }

  /** Drops all changes. */
  discard(): void {
    this.#texts = {};
    this.problem = null;
  }

  /** Whether a save would change the setting. */
  isChanged(setting: Setting): boolean {
    const text = this.#texts[setting.key];
    if (text === undefined || setting.locked) return false;
    const parsed = parse(setting, text);
    return 'error' in parsed || !isEqual(parsed.value, setting.value);
  }

  error(setting: Setting): string | undefined {
    const text = this.#texts[setting.key];
    if (text === undefined) return undefined;
    const parsed = parse(setting, text);
    if ('error' in parsed) return parsed.error;
    const rejected = this.#rejected[setting.key];
    return rejected?.text === text ? rejected.message : undefined;
  }

  /** Saves the changes of these settings. False after a failure, which the section shows. */
  async save(shown: readonly Setting[]): Promise<boolean> {
    const changed = shown.filter((setting) => this.isChanged(setting));
    if (this.isSaving || changed.some((setting) => this.error(setting) !== undefined)) return false;
    const values: Record<string, unknown> = {};
    for (const setting of changed) {
      const parsed = parse(setting, this.text(setting));
      if ('value' in parsed) values[setting.key] = parsed.value;
    }
    this.isSaving = true;
    this.problem = null;
    const result = await settings.change(values);
    this.isSaving = false;
    if (result.ok) {
      this.#texts = {};
      return true;
    }
    this.#reject(result.problem);
    return false;
  }

  #reject(problem: Problem): void {
    const rejected: Record<string, { text: string; message: string }> = {};
    for (const { field, message } of problem.errors) {
      const key = field.replace(/^values\./, '');
      const text = this.#texts[key];
      if (text !== undefined) rejected[key] = { text, message };
    }
    this.#rejected = rejected;
    this.problem = Object.keys(rejected).length > 0 ? null : problem;
  }

  /** Removes the stored value, so that the default applies. */
  async reset(setting: Setting): Promise<void> {
    this.problem = null;
    const result = await settings.reset([setting.key]);
    if (result.ok) this.drop(setting);
    else this.problem = result.problem;
  }
}

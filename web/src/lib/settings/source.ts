/** Where the value of a setting comes from, in words. */
import type { Setting } from '$lib/api';

/** The source, as in "from environment". Nothing for the default, which is shown in its place. */
export function sourceName(setting: Setting): string | undefined {
  switch (setting.source) {
    case 'flag':
      return 'the command line';
    case 'environment':
      return setting.environment;
    case 'database':
      return 'these settings';
    default:
      return undefined;
  }
}

/** Why a setting cannot be changed here, and what to do about it. */
export function lockNote(setting: Setting): string | undefined {
  if (!setting.locked) return undefined;
  if (setting.source === 'environment') {
    return `Set by the environment variable ${setting.environment}. Unset it and restart the gateway to change it here.`;
  }
  return 'Set by an option of the command line. Omit the option and restart the gateway to change it here.';
}

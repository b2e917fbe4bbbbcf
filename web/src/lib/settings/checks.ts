/** The checks of the gateway as the page shows them. */
import type { Check } from '$lib/api';

const names: Readonly<Record<string, string>> = {
  memory: 'Memory',
  database: 'Database',
  server: 'Servers',
  profile_port: 'Port of a profile',
  model_cache: 'Model cache',
  local_models: 'Local models',
  disk_space: 'Disk space',
  hub: 'Hugging Face',
  models: 'Models',
};

/** The name of a check; for one of a later version, its own with spaces. */
export function checkName(name: string): string {
  const words = name.replaceAll('_', ' ');
  return names[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

const order: Readonly<Record<Check['status'], number>> = { failed: 0, warning: 1, ok: 2 };

/** Failures first, then warnings, each in the order of the gateway. */
export function bySeverity(checks: readonly Check[]): Check[] {
  return [...checks].sort((left, right) => order[left.status] - order[right.status]);
}

/** The sections of the settings page, and which settings of the gateway they show. */

/** A section of the page. */
export interface Section {
  /** Its part of the address. */
  readonly id: SectionId;
  readonly title: string;
  /** What it is about, in one sentence. */
  readonly summary: string;
}

export type SectionId = 'memory' | 'models' | 'network' | 'data' | 'logs' | 'appearance' | 'about';

export const sections: readonly Section[] = [
  { id: 'memory', title: 'Memory and pool', summary: 'How much memory models may use, and how long they stay loaded.' },
  { id: 'models', title: 'Models', summary: 'Where models are found, and how they are downloaded.' },
  { id: 'network', title: 'Network', summary: 'Where the gateway listens, and who may connect.' },
  { id: 'data', title: 'Data', summary: 'What is kept, and for how long.' },
  { id: 'logs', title: 'Logs', summary: 'What is logged, and where.' },
  { id: 'appearance', title: 'Appearance and keys', summary: 'How this page looks in this browser.' },
  { id: 'about', title: 'About', summary: 'This version, this machine, and what needs attention.' },
];

/** Whether there is such a section. */
export function sectionById(id: string): Section | undefined {
  return sections.find((section) => section.id === id);
}

const byKey: Readonly<Record<string, SectionId>> = {
  'server.shutdown_timeout_seconds': 'memory',
  'servers.health_interval_seconds': 'memory',
  'profiles.first_port': 'network',
};

const byPrefix: Readonly<Record<string, SectionId>> = {
  pool: 'memory',
  servers: 'memory',
  models: 'models',
  downloads: 'models',
  server: 'network',
  profiles: 'network',
  audit: 'data',
  logs: 'logs',
};

/** The section of a setting. A setting that this page does not know is shown with the data. */
export function sectionOf(key: string): SectionId {
  return byKey[key] ?? byPrefix[key.split('.')[0] ?? ''] ?? 'data';
}

const labels: Readonly<Record<string, string>> = {
  'pool.memory_budget_bytes': 'Memory for all models',
  'pool.ttl_seconds': 'Stop when idle',
  'pool.queue_timeout_seconds': 'Wait for memory',
  'pool.max_waiting_requests': 'Waiting requests',
  'pool.preload': 'Load at the start',
  'servers.health_interval_seconds': 'Health checks',
  'server.shutdown_timeout_seconds': 'Time to finish at exit',
  'models.folders': 'Folders with models',
  'models.cache_directory': 'Downloads',
  'downloads.bytes_per_second': 'Download speed',
  'server.host': 'Address',
  'server.port': 'Port',
  'server.cors_origins': 'Web pages that may send requests',
  'server.allowed_hosts': 'Further host names',
  'profiles.first_port': 'First port of profiles',
  'audit.retention_days': 'Keep requests',
  'logs.level': 'Level',
  'logs.file': 'File',
  'logs.retention_days': 'Keep logs of stopped models',
};

const helps: Readonly<Record<string, string>> = {
  'pool.memory_budget_bytes': 'For all running models together. A start that needs more stops idle models first.',
  'pool.ttl_seconds': 'A model without requests for this long is stopped.',
  'pool.queue_timeout_seconds': 'How long a request waits for memory or for a busy model.',
  'pool.max_waiting_requests': 'So many requests wait. Further ones are rejected.',
  'servers.health_interval_seconds': 'How often running models are checked.',
  'server.shutdown_timeout_seconds': 'Time that running requests have when the gateway exits.',
};

/** What a setting does, in the words of the page: undefined for the description of the gateway. */
export function helpOf(key: string): string | undefined {
  return helps[key];
}

/** The most important first; those that the page does not know last. */
export function inOrder<T extends { key: string }>(settings: readonly T[]): T[] {
  const keys = Object.keys(labels);
  const place = ({ key }: T) => (keys.includes(key) ? keys.indexOf(key) : keys.length);
  return settings.toSorted((one, other) => place(one) - place(other));
}

/** The name of a setting on the page: its key if the page does not know it. */
export function labelOf(key: string): string {
  return labels[key] ?? key;
}

// What uses a model, and what its removal would change.

import type { Alias, Download, LocalModel, Profile, Server } from '$lib/api';
import { bytes } from '$lib/format';

export interface References {
  servers: Server[];
  profiles: Profile[];
  downloads: Download[];
  aliases: Alias[];
}

/** Whether the gateway removes it only if it is forced to. Aliases do not keep a model. */
export function isUsed(references: References): boolean {
  const { servers, profiles, downloads } = references;
  return servers.length + profiles.length + downloads.length > 0;
}

/** What will be lost, one sentence for each. */
export function losses(model: LocalModel, references: References): string[] {
  const { servers, profiles, downloads, aliases } = references;
  const running = servers.reduce((sum, server) => sum + server.running, 0);
  const texts = [`${bytes(model.size_bytes)} are deleted from the disk.`];
  if (servers.length > 0) {
    const interrupted =
      running === 0 ? '' : `, which interrupts ${running} ${running === 1 ? 'response' : 'responses'}`;
    texts.push(`${servers.length === 1 ? 'Its server is' : `${servers.length} servers are`} stopped${interrupted}.`);
  }
  if (downloads.length > 0) texts.push('Its download is cancelled.');
  if (profiles.length > 0) {
    const names = profiles.map((profile) => profile.config.name).join(', ');
    texts.push(
      `${profiles.length === 1 ? 'The profile' : 'The profiles'} ${names} cannot be started until the model is downloaded again.`,
    );
  }
  if (aliases.length > 0) {
    texts.push(
      `${aliases.length === 1 ? 'The alias' : 'The aliases'} ${aliases.map((alias) => alias.name).join(', ')} will lead nowhere.`,
    );
  }
  return texts;
}

/** Why it cannot be deleted here, or null. */
export function keepReason(model: LocalModel): string | null {
  return model.source === 'external'
    ? 'It is in the directory of another program, which is never changed. Remove it with that program.'
    : null;
}

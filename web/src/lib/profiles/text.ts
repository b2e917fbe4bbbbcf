/** Profiles as text. */
import type { ProfileFormat } from '$lib/api';

/** What a text looks like: an exported profile is a JSON object, and everything else a Modelfile. */
export function formatOf(content: string): ProfileFormat {
  return content.trimStart().startsWith('{') ? 'json' : 'modelfile';
}

/** The name that a text suggests: that of an exported profile, or the last part of the model's. */
export function nameIn(content: string, format: ProfileFormat): string {
  if (format === 'json') {
    try {
      const value: unknown = JSON.parse(content);
      const name = typeof value === 'object' && value !== null && 'name' in value ? value.name : '';
      return typeof name === 'string' ? name : '';
    } catch {
      return '';
    }
  }
  const model = /^\s*from\s+"*([^\s"]+)/im.exec(content)?.[1] ?? '';
  return model.replace(/\/+$/, '').split('/').at(-1)?.split(':').at(0) ?? '';
}

/** The name of a file for an exported profile: `coder.json` or `coder.Modelfile`. */
export function fileName(profile: string, format: ProfileFormat): string {
  const safe = profile.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[-.]+|-+$/g, '');
  return `${safe || 'profile'}.${format === 'json' ? 'json' : 'Modelfile'}`;
}

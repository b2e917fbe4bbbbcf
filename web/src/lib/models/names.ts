// Names of models: `owner/name`, or a name alone for a model in the directory of local models.

export interface NameParts {
  owner: string | null;
  name: string;
}

export function splitName(name: string): NameParts {
  const slash = name.indexOf('/');
  if (slash < 0) return { owner: null, name };
  return { owner: name.slice(0, slash), name: name.slice(slash + 1) };
}

/** The page of a model. */
export function modelHref(name: string): string {
  const parts = splitName(name);
  const segments = parts.owner === null ? [parts.name] : [parts.owner, parts.name];
  return `/models/${segments.map(encodeURIComponent).join('/')}`;
}

/** The name that the parameters of a page stand for. */
export function nameOf(owner: string, name?: string): string {
  return name === undefined ? owner : `${owner}/${name}`;
}

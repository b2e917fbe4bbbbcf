/**
 * Requests to the management API, with the types of its OpenAPI document. Only stores use it.
 *
 * `await api.post('/api/servers/{id}/pin', { params: { path: { id } }, body: { pinned: true } })`
 */
import createClient, { type FetchResponse, type MaybeOptionalInit } from 'openapi-fetch';

import { origin } from './origin';
import { Problem } from './problem';
import type { paths } from './schema';

type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';

type PathWith<M extends Method> = {
  [Path in keyof paths]: paths[Path] extends Record<M, object> ? Path : never;
}[keyof paths];

/** Optional where nothing of it is required. */
type Init<Options> = object extends Options ? [Options?] : [Options];

type Data<Operation extends Record<string | number, unknown>> = NonNullable<
  FetchResponse<Operation, object, 'application/json'>['data']
>;

interface Calls {
  get: <Path extends PathWith<'get'>>(
    path: Path,
    ...init: Init<MaybeOptionalInit<paths[Path], 'get'>>
  ) => Promise<Data<paths[Path]['get']>>;
  put: <Path extends PathWith<'put'>>(
    path: Path,
    ...init: Init<MaybeOptionalInit<paths[Path], 'put'>>
  ) => Promise<Data<paths[Path]['put']>>;
  post: <Path extends PathWith<'post'>>(
    path: Path,
    ...init: Init<MaybeOptionalInit<paths[Path], 'post'>>
  ) => Promise<Data<paths[Path]['post']>>;
  patch: <Path extends PathWith<'patch'>>(
    path: Path,
    ...init: Init<MaybeOptionalInit<paths[Path], 'patch'>>
  ) => Promise<Data<paths[Path]['patch']>>;
  del: <Path extends PathWith<'delete'>>(
    path: Path,
    ...init: Init<MaybeOptionalInit<paths[Path], 'delete'>>
  ) => Promise<Data<paths[Path]['delete']>>;
}

const client = createClient<paths>({
  baseUrl: origin(),
  // Not bound to the `fetch` of the time when this module was loaded.
  fetch: (request) => globalThis.fetch(request),
});

/** Sends a request and throws a {@link Problem} unless it succeeds. The result is undefined if there is no body. */
function call(method: Method) {
  // The types of openapi-fetch are for callers: here, paths and bodies are any strings and objects.
  const send = client.request as unknown as (
    method: Method,
    path: string,
    init?: object,
  ) => Promise<{ data?: unknown; error?: unknown; response: Response }>;
  return async (path: string, init?: object): Promise<unknown> => {
    let result;
    try {
      result = await send(method, path, init);
    } catch (error) {
      throw Problem.from(error);
    }
    if (!result.response.ok) throw Problem.fromResponse(result.response, result.error);
    return result.data;
  };
}

export const api = {
  get: call('get'),
  put: call('put'),
  post: call('post'),
  patch: call('patch'),
  del: call('delete'),
} as unknown as Calls;

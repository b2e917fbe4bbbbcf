/** Names for the types of the API. They are generated from `openapi.json` by `npm run api`; a change of the API shows up here. */
import type { components, operations, paths } from './schema';

export type * from './schema';

/** What a failed request returns; see the class `Problem`. */
export type ProblemBody = components['schemas']['Problem'];

/** An event of the stream, with its topic. `Event` is the name of a type of browsers. */
export type StreamEvent = components['schemas']['Event'];

type QueryOf<Name extends keyof operations> = NonNullable<operations[Name]['parameters']['query']>;

/** A search on the hub. */
export type SearchQuery = QueryOf<'search_models'>;

/** Which rows of the audit log. */
export type AuditFilter = Omit<QueryOf<'list_audit_rows'>, 'after' | 'limit' | 'format'>;

/** Which chats a list has. */
export type ChatFilter = Omit<NonNullable<paths['/api/chats']['get']['parameters']['query']>, 'after' | 'limit'>;

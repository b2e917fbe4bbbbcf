/** Why a request failed, and what to do next. */
import type { FieldError, ProblemBody } from './types';

/** Codes of problems that no response describes. */
const UNREACHABLE = 'unreachable';
const ABORTED = 'aborted';

/** A failed request. Its message is the detail. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly type: string;
  readonly title: string;
  /** HTTP status; 0 if there was no response. */
  readonly status: number;
  readonly detail: string;
  /** Stable, such as `profile_name_taken`. */
  readonly code: string;
  readonly advice: string | null;
  /** The id of the request, which is also in the log. */
  readonly requestId: string | null;
  readonly errors: readonly FieldError[];

  constructor(body: ProblemBody) {
    super(body.detail || body.title);
    this.type = body.type;
    this.title = body.title;
    this.status = body.status;
    this.detail = body.detail || body.title;
    this.code = body.code;
    this.advice = body.advice ?? null;
    this.requestId = body.request_id ?? null;
    this.errors = body.errors ?? [];
  }

  /** The gateway did not respond: it has exited, or the network is lost. */
  static unreachable(): Problem {
    return Problem.local(
      UNREACHABLE,
      'Gateway unreachable',
      'The gateway does not respond.',
      'Start it with `mlxm serve`.',
    );
  }

  /** The page itself ended the request. */
  static aborted(): Problem {
    return Problem.local(ABORTED, 'Cancelled', 'The request was cancelled.');
  }

  /** From anything that was thrown. */
  static from(error: unknown): Problem {
    if (error instanceof Problem) return error;
    if (error instanceof DOMException && error.name === 'AbortError') return Problem.aborted();
    // This is how `fetch` reports that there was no response.
    if (error instanceof TypeError) return Problem.unreachable();
    const detail = error instanceof Error ? error.message : String(error);
    return Problem.local('unexpected', 'Unexpected error', detail);
  }

  /** From the body of a response, which is not a problem if another program sent it. */
  static fromResponse(response: Response, body: unknown): Problem {
    const requestId = response.headers.get('x-request-id');
    if (isProblemBody(body)) return new Problem({ request_id: requestId, ...body });
    // Proxies report like this that nothing listens behind them.
    if (response.status === 502 || response.status === 504) return Problem.unreachable();
    return new Problem({
      type: 'about:blank',
      title: 'Unexpected response',
      status: response.status,
      detail: otherMessage(body) ?? `The gateway responded with status ${response.status}.`,
      code: 'unexpected_response',
      request_id: requestId,
    });
  }

  private static local(code: string, title: string, detail: string, advice?: string): Problem {
    return new Problem({ type: `urn:mlxm:page:${code}`, title, status: 0, detail, code, advice });
  }

  get isUnreachable(): boolean {
    return this.code === UNREACHABLE;
  }

  get isAborted(): boolean {
    return this.code === ABORTED;
  }

  /** What is wrong with a field, such as `load.context_length`. */
  field(path: string): string | null {
    return this.errors.find((error) => error.field === path)?.message ?? null;
  }

  /** The errors of fields that a form does not show. */
  otherErrors(shown: readonly string[]): FieldError[] {
    return this.errors.filter((error) => !shown.includes(error.field));
  }
}

function isProblemBody(body: unknown): body is ProblemBody {
  if (typeof body !== 'object' || body === null) return false;
  const { title, code, detail } = body as Record<string, unknown>;
  return typeof title === 'string' && typeof code === 'string' && typeof detail === 'string';
}

/** Errors of the inference API are `{"error": {"message": …}}`. */
function otherMessage(body: unknown): string | null {
  if (typeof body !== 'object' || body === null || !('error' in body)) return null;
  const { error } = body;
  if (typeof error !== 'object' || error === null || !('message' in error)) return null;
  return typeof error.message === 'string' ? error.message : null;
}

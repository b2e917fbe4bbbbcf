/** What an action of a store returns, so that no component has to catch anything. */
import { Problem } from './problem';

export type Result<T> = { ok: true; value: T } | { ok: false; problem: Problem };

/** The result of a request that throws a {@link Problem} if it fails. */
export async function attempt<T>(request: () => Promise<T>): Promise<Result<T>> {
  try {
    return { ok: true, value: await request() };
  } catch (error) {
    return { ok: false, problem: Problem.from(error) };
  }
}

/** Another value of a result. */
export function mapResult<T, U>(result: Result<T>, map: (value: T) => U): Result<U> {
  return result.ok ? { ok: true, value: map(result.value) } : result;
}

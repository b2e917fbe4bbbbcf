// Failed actions of a user, as toasts.

import type { Problem, Result } from '$lib/api';
import { toasts } from '$lib/ui';

/** Whether it succeeded. If not, a toast says what failed, why, and what to do. */
export async function report<T>(action: Promise<Result<T>>, failed: string): Promise<boolean> {
  const result = await action;
  if (!result.ok) toasts.add({ title: failed, detail: causeOf(result.problem), tone: 'bad' });
  return result.ok;
}

export function causeOf(problem: Problem): string {
  return problem.advice ? `${problem.detail}. ${problem.advice}.` : problem.detail;
}

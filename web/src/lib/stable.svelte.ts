/** Values that are derived often and seldom become others: servers change with each measurement. */

/** Keeps the object of before while its JSON is the same, so that nothing that depends on it is computed again. */
export function stable<T>(read: () => T): { readonly current: T } {
  let json: string | undefined;
  let kept = undefined as T;
  const current = $derived.by(() => {
    const next = read();
    const text = JSON.stringify(next) as string | undefined;
    if (text === undefined || text !== json) kept = next;
    json = text;
    return kept;
  });
  return {
    get current() {
      return current;
    },
  };
}

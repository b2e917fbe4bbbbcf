/** What belongs to this browser, such as the theme. Everything else is on the server. Storage may be disabled. */
export function read(key: string): string | null {
  try {
    return localStorage.getItem(`mlxm.${key}`);
  } catch {
    return null;
  }
}

export function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`mlxm.${key}`);
    else localStorage.setItem(`mlxm.${key}`, value);
  } catch {
    // The choice then lasts until the page is closed.
  }
}

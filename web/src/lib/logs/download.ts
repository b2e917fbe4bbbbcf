// Saves what the page has as a file.

/** Offers a file for download. */
export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has to read it first.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A name with the time, such as `mlxm-logs-2026-11-29-1542.txt`. */
export function fileName(kind: string, extension: string, atMs: number): string {
  const time = new Date(atMs).toISOString();
  return `mlxm-${kind}-${time.slice(0, 10)}-${time.slice(11, 16).replace(':', '')}.${extension}`;
}

/** The page's own origin, which is the gateway. Tests in Node have no location. */
export function origin(): string {
  return globalThis.location?.origin ?? 'http://localhost';
}

/** The time in which panels move, in ms: none where the system asks for reduced motion. */
export function panelDuration(): number {
  return matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 180;
}

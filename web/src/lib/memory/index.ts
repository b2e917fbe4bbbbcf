// Memory: the strip on top of every page, with the ghost of a start.
export { colors, modelColor, profileColor, serverColor } from './colors.svelte';
export { default as MemoryStrip } from './MemoryStrip.svelte';
export { default as PlanLine } from './PlanLine.svelte';
export { previews } from './previews';

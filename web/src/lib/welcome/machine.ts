// The machine in one sentence.

import type { SystemInfo } from '$lib/api';
import { bytes } from '$lib/format';

/** `Apple M4 Max with 64.000a0GB`, with what is known. */
export function machineText(info: SystemInfo): string {
  const chip = info.chip ?? `${info.architecture} with ${info.cpus} CPUs`;
  const memory = info.memory_bytes ? ` ${info.chip ? 'with' : 'and'} ${bytes(info.memory_bytes)} of memory` : '';
  return `This machine: ${chip}${memory}.`;
}

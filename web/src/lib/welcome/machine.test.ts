import { expect, test } from 'vitest';
import type { SystemInfo } from '$lib/api';
import { machineText } from './machine';

const info = { architecture: 'aarch64', cpus: 12, chip: 'Apple M4 Max', memory_bytes: 64e9 } as SystemInfo;

test('the machine is its chip and its memory, where they are known', () => {
  expect(machineText(info)).toBe('This machine: Apple M4 Max with 64.0\u00a0GB of memory.');
  expect(machineText({ ...info, memory_bytes: null })).toBe('This machine: Apple M4 Max.');
  expect(machineText({ ...info, chip: null })).toBe('This machine: aarch64 with 12 CPUs and 64.0\u00a0GB of memory.');
});

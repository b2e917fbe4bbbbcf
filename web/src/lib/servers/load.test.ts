import { describe, expect, it } from 'vitest';
import { cpu, gpu, memoryParts } from './load';
import { plain, server } from './testing';

describe('cpu', () => {
  it('is a part of the CPUs that can be used', () => {
    expect(cpu({ at_ms: 1, cpu_percent: 200 }, 8)).toEqual({ text: '25%', share: 0.25 });
    expect(cpu({ at_ms: 1, cpu_percent: 900 }, 8)?.share).toBe(1);
  });

  it('is in cores while their number is not known', () => {
    expect(cpu({ at_ms: 1, cpu_percent: 150 }, null)).toEqual({ text: '1.5 cores', share: null });
  });

  it('is unknown before it is measured', () => {
    expect(cpu({ at_ms: 1 }, 8)).toBeNull();
    expect(cpu(null, 8)).toBeNull();
    expect(gpu({ at_ms: 1 })).toBeNull();
  });
});

it('gpu is a part of the whole GPU', () => {
  expect(gpu({ at_ms: 1, gpu_percent: 91 })).toEqual({ text: '91%', share: 0.91 });
});

describe('memoryParts', () => {
  const at = (at_ms: number, resident_bytes: number) => ({ at_ms, resident_bytes });

  it('has the peak where it differs', () => {
    const measured = server({ metrics: at(2, 1_500_000_000) });
    const parts = memoryParts(measured, [at(1, 1_900_000_000), at(2, 1_500_000_000)]);
    expect(parts.map(plain)).toEqual(['1.0 GB planned', '1.5 GB touched', 'peak 1.9 GB']);
    expect(memoryParts(measured, [at(2, 1_500_000_000)])).toHaveLength(2);
    expect(memoryParts(server(), []).map(plain)).toEqual(['1.0 GB planned']);
  });
});

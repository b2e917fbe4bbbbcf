import { describe, expect, it } from 'vitest';
import { fileName, formatOf, nameIn } from './text';

describe('imported texts', () => {
  it('are recognized by their beginning', () => {
    expect(formatOf(' {"name": "a"}')).toBe('json');
    expect(formatOf('# A Modelfile\nFROM org/model')).toBe('modelfile');
    expect(formatOf('')).toBe('modelfile');
  });

  it('suggest a name', () => {
    expect(nameIn('# x\nfrom mlx-community/Qwen3-8B-4bit\nSYSTEM hi', 'modelfile')).toBe('Qwen3-8B-4bit');
    expect(nameIn('FROM llama3:8b', 'modelfile')).toBe('llama3');
    expect(nameIn('{"name": "coder"}', 'json')).toBe('coder');
    expect(nameIn('{"name": 1}', 'json')).toBe('');
    expect(nameIn('{', 'json')).toBe('');
    expect(nameIn('', 'modelfile')).toBe('');
  });
});

describe('exported files', () => {
  it('have names that are no paths', () => {
    expect(fileName('coder', 'json')).toBe('coder.json');
    expect(fileName('../../etc/passwd', 'modelfile')).toBe('etc-passwd.Modelfile');
    expect(fileName('Qwen3 8B copy', 'json')).toBe('Qwen3-8B-copy.json');
    expect(fileName('/', 'json')).toBe('profile.json');
  });
});

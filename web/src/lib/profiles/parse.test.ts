import { describe, expect, it } from 'vitest';
import { fieldAt, fields, type FieldSpec } from './fields';
import { format, parse, type Value } from './parse';

function field(path: string): FieldSpec {
  const found = fieldAt(path);
  if (!found) throw new Error(`no field ${path}`);
  return found;
}

function value(path: string, text: string): Value {
  const parsed = parse(field(path), text);
  if ('error' in parsed) throw new Error(parsed.error);
  return parsed.value;
}

function error(path: string, text: string): string {
  const parsed = parse(field(path), text);
  return 'error' in parsed ? parsed.error : '';
}

describe('parse', () => {
  it('reads an empty text as the default', () => {
    for (const each of fields) expect(parse(each, '')).toEqual({ value: undefined });
    expect(value('port', '  ')).toBeUndefined();
    expect(value('request.stop', '\n\n')).toBeUndefined();
  });

  it('reads numbers as people write them', () => {
    expect(value('load.context_length', '32k')).toBe(32768);
    expect(value('load.context_length', '32,768')).toBe(32768);
    expect(value('load.context_length', '32 768')).toBe(32768);
    expect(value('request.temperature', '0,7')).toBe(0.7);
    expect(value('request.temperature', '0')).toBe(0);
    expect(value('request.seed', '-5')).toBe(-5);
    expect(value('ttl_seconds', '-1')).toBe(-1);
    expect(value('queue_timeout_seconds', '5 min')).toBe(300);
  });

  it('names the range of numbers outside of it', () => {
    expect(error('port', '70000')).toBe('Enter a whole number from 1 to 65,535.');
    expect(error('port', '1k')).toBe('Enter a whole number from 1 to 65,535.');
    expect(error('port', '1.5')).toBe('Enter a whole number from 1 to 65,535.');
    expect(error('queue_timeout_seconds', '2 days')).toBe('Enter a duration of at most 24 h, such as 30 min.');
    expect(error('request.top_p', '0')).toBe('Enter a number greater than 0 and at most 1.');
    expect(error('request.repetition_penalty', '0')).toBe('Enter a number greater than 0.');
    expect(error('request.temperature', '-1')).toBe('Enter a number of at least 0.');
    expect(error('request.temperature', 'warm')).toBe('Enter a number of at least 0.');
    expect(error('request.seed', '99999999999999999999')).toBe('Enter a whole number.');
  });

  it('keeps spaces of prose and of stop strings', () => {
    expect(value('request.system_prompt', ' You are short.\n')).toBe(' You are short.\n');
    expect(value('request.stop', 'a \n\\n\\n\n\\\\n')).toEqual(['a ', '\n\n', '\\n']);
    expect(value('name', '  coder ')).toBe('coder');
  });

  it('reads biases and says which line is wrong', () => {
    expect(value('request.logit_bias', '17: -100\n 4 = 2,5\n')).toEqual({ '17': -100, '4': 2.5 });
    expect(error('request.logit_bias', 'word: 1')).toContain('"word: 1"');
    expect(error('request.logit_bias', '17: 101')).toContain('from -100 to 100');
  });

  it('reads thinking as a switch or an effort', () => {
    expect(value('request.thinking', 'true')).toBe(true);
    expect(value('request.thinking', 'false')).toBe(false);
    expect(value('request.thinking', 'low')).toBe('low');
  });
});

describe('format', () => {
  it('is undone by parse', () => {
    const values: [string, Value][] = [
      ['load.context_length', 4096],
      ['request.stop', ['\n', 'a\\nb', '\tEnd ']],
      ['request.logit_bias', { '17': -100, '20': 0.5 }],
      ['request.thinking', false],
      ['request.system_prompt', 'Line one\n\nLine two'],
      ['ttl_seconds', -1],
    ];
    for (const [path, expected] of values) {
      expect(value(path, format(field(path), expected))).toEqual(expected);
    }
  });
});

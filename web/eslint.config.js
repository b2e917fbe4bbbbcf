import js from '@eslint/js';
import prettier from 'eslint-config-prettier';
import svelte from 'eslint-plugin-svelte';
import { defineConfig, globalIgnores } from 'eslint/config';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

/** Requests are made by `lib/api`, and the event stream by `lib/events`, so that components only render. */
const noRequests = [
  'error',
  { name: 'fetch', message: 'Use the client of $lib/api in a store.' },
  { name: 'EventSource', message: 'Subscribe with $lib/events.' },
  { name: 'XMLHttpRequest', message: 'Use the client of $lib/api in a store.' },
];

export default defineConfig(
  globalIgnores(['build/', '.svelte-kit/', 'node_modules/', 'test-results/', 'src/lib/api/schema.d.ts']),
  js.configs.recommended,
  ts.configs.strict,
  svelte.configs.recommended,
  prettier,
  svelte.configs.prettier,
  {
    languageOptions: { globals: { ...globals.browser } },
    rules: {
      // The compiler of TypeScript finds undefined names.
      'no-undef': 'off',
      'no-console': 'error',
      'no-restricted-globals': noRequests,
      'max-lines': ['error', { max: 300 }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      // The page is always served from the root of its address.
      'svelte/no-navigation-without-resolve': 'off',
      // Stores also have collections that nothing renders.
      'svelte/prefer-svelte-reactivity': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts', '**/*.svelte.js'],
    languageOptions: {
      parserOptions: { extraFileExtensions: ['.svelte'], parser: ts.parser, svelteConfig },
    },
    rules: {
      'svelte/no-at-html-tags': 'error',
      'svelte/button-has-type': 'error',
      'svelte/no-target-blank': 'error',
      // `$props()` are destructured with `let` where one of them is bindable.
      'prefer-const': 'off',
      'svelte/prefer-const': ['error', { destructuring: 'all', excludedRunes: ['$props'] }],
    },
  },
  // Stores keep sets that no component reads, and that must not be state: effects would depend on them.
  { files: ['**/*.svelte.ts'], rules: { 'svelte/prefer-svelte-reactivity': 'off' } },
  { files: ['**/*.svelte'], rules: { 'max-lines': ['error', { max: 200 }] } },
  { files: ['src/lib/api/**', 'src/lib/events/**'], rules: { 'no-restricted-globals': 'off' } },
  {
    files: ['tests/**', 'bench/**', '*.config.*', 'chromium.js', 'scripts/**'],
    languageOptions: { globals: { ...globals.node } },
    rules: { 'no-restricted-globals': 'off' },
  },
);

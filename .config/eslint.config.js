// The linter's rules. Presets are the strict, type-aware ones; every deviation from them says why.
// Who may import whom is in test/support/rooms.ts.
import eslint from '@eslint/js';
import { defineConfig } from 'eslint/config';
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';
import { packageRules, rooms } from '../test/support/rooms.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const notOurs = ['dist/**', 'node_modules/**', 'coverage/**', 'journal-data/**', 'journal-format/vectors/**'];
const checkedByTools = ['test/**', 'bench/**'];

export default defineConfig(
  { ignores: notOurs },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: 'test/tsconfig.json', tsconfigRootDir: root } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      // A closed union must be handled case by case: a default would swallow the member that is added next year. A
      // switch over plain numbers (bytes from the wire) must say what it does with the rest.
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { requireDefaultForNonUnion: true }],
      // Offsets, ports and sizes in messages are what template strings are for.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `while (true)` with a return inside is the plainest way to write a reading loop.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      // `() => socket.destroy()` says what it does; braces around it would say no more.
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'all', caughtErrorsIgnorePattern: '^_' },
      ],
      // An implementation in memory of an interface that promises a Promise has nothing to await.
      '@typescript-eslint/require-await': 'off',
      // Types and interfaces are both fine where they are; a rule that rewrites one into the other teaches nothing.
      '@typescript-eslint/consistent-type-definitions': 'off',
      // An empty method is a null object's whole point.
      '@typescript-eslint/no-empty-function': 'off',
      // node:net, streams and test runners hand over callbacks that return void: an async one there loses its errors.
      '@typescript-eslint/no-misused-promises': 'error',
      'no-restricted-exports': [
        'error',
        {
          restrictDefaultExports: {
            direct: true,
            named: true,
            defaultFrom: true,
            namedFrom: true,
            namespaceFrom: true,
          },
        },
      ],
      eqeqeq: 'error',
      'no-promise-executor-return': ['error', { allowVoid: true }],
      'no-console': 'error',
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      // A warning while writing; the tidy test fails on it, except for the files named there with a reason.
      'max-lines': ['warn', { max: 400 }],
    },
  },
  ...roomRules(),
  {
    // Code that walks bytes indexes inside bounds it has just checked; `!` says so, at no cost in the hot loops.
    files: ['journal-format/**/*.ts', 'src/redis/**/*.ts'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  { files: ['src/cli/**/*.ts', 'bench/**/*.ts', 'test/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      // A describe block is one long function, and a table of cases is one long file, by nature.
      'max-lines-per-function': 'off',
      'max-lines': 'off',
    },
  },
  {
    files: checkedByTools.map((folder) => `${folder}/*.ts`),
    rules: {
      // A wrong assumption in a test fails the test, which is what it is for.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Matchers such as expect.any() are typed `any`.
      '@typescript-eslint/no-unsafe-assignment': 'off',
    },
  },
  { files: ['**/*.config.ts'], rules: { 'no-restricted-exports': 'off' } },
  {
    // What runs before there is a compiler.
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', URL: 'readonly' } },
  },
);

/** One entry a room: its imports of our own folders, and of packages, each refused with its reason. */
function roomRules() {
  return rooms.map((room) => ({
    files: [room.path.endsWith('.ts') ? room.path : `${room.path}/**/*.ts`],
    rules: { 'no-restricted-imports': ['error', { patterns: [...foreignRooms(room), ...foreignPackages(room)] }] },
  }));
}

function foreignRooms(room) {
  const except = (room.mayImportFiles ?? []).map((pattern) =>
    pattern.source.replace(/^\^src\\\//, '').replace(/\$$/, ''),
  );
  return rooms
    .filter((other) => other !== room && !room.mayImport.includes(other.name))
    .map((other) => {
      const name = other.path.replace(/^src\//, '').replaceAll('.', '\\.');
      const unless = except.length > 0 ? `(?!(?:src/)?(?:${except.join('|')})$)` : '';
      return {
        regex: `^(?:\\.\\./)+${unless}(?:src/)?${name}(?:/|$)`,
        message: `${room.name} may not import ${other.name}: ${room.reason}.`,
      };
    });
}

// A rule for single files applies to them by path, which a pattern on the import cannot see: in rooms with such an
// exemption the tidy test, which knows the file, is the judge.
function foreignPackages(room) {
  const mayHoldExempt = (rule) =>
    (rule.allowedInFiles ?? []).some((pattern) => pattern.source.replaceAll('\\', '').startsWith(`^${room.path}/`));
  return packageRules
    .filter((rule) => !rule.allowedIn.includes(room.name) && !mayHoldExempt(rule))
    .map((rule) => ({
      regex: `^(?:${rule.packages.map((name) => name.replaceAll('.', '\\.')).join('|')})(?:/|$)`,
      message: `${room.name} may not import this package: ${rule.reason}.`,
    }));
}

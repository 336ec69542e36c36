// The house rules, as tests, so that whoever breaks one is told which and why. The linter tells most of them earlier,
// at the line; this follows the files, knows what is in the repository, and finds cycles.
//
// Every rule collects all of its violations and expects none, so that one run shows the whole list.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { findCycle } from './support/cycles.ts';
import { brokenPackageRule, roomOf } from './support/rooms.ts';

const root = path.resolve(import.meta.dirname, '..');

/** What stands at the top, because a visitor should see the whole house from the door. Dot files are free. */
const topLevel = new Set([
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'README.md', 'LICENSE', 'CHANGELOG.md'],
  ...['src', 'journal-format', 'test', 'bench', 'docker'],
]);

/** The two files that are for others; everything inside imports the module it means. */
const publicFaces = new Set(['src/index.ts', 'journal-format/index.ts']);

/** Files over 400 lines, each with the reason why cutting it would make it harder to read. */
const longFiles = new Map<string, string>();

const files = repositoryFiles();
const sources = files.filter((file) => /^(src|journal-format|test|bench)\/.*\.ts$/.test(file));
const shipped = sources.filter((file) => /^(src|journal-format)\//.test(file));
const parsed = new Map(sources.map((file) => [file, parse(file)]));

describe('the repository', () => {
  test('has at its top only what the layout names', () => {
    const strangers = new Set(files.map((file) => file.split('/')[0] ?? '').filter((name) => !isTopLevel(name)));
    expect([...strangers], 'the top level is fixed: put it into the room it belongs to').toEqual([]);
  });

  test('names no path of the machine it was written on', () => {
    const pattern = new RegExp(['\\.\\./shar' + 'ed\\b', '(?<![\\w.-])/wo' + 'rk/'].join('|'));
    const found = files.filter((file) => isText(file) && pattern.test(read(file)));
    expect(found, 'such a path means nothing to anybody else').toEqual([]);
  });

  test('names its files in kebab-case', () => {
    const odd = files.filter(
      (file) => /\.(ts|js|mjs)$/.test(file) && !/^([a-z0-9]+(-[a-z0-9]+)*)(\.[a-z0-9-]+)+$/.test(path.basename(file)),
    );
    expect(odd, 'one spelling, so that a name can be typed without looking and works on every file system').toEqual([]);
  });

  test('uses every package it depends on and declares every package it uses', () => {
    const { dependencies, devDependencies, scripts } = manifest();
    const inShipped = packagesOf(shipped);
    const everywhere = new Set([...packagesOf(sources), ...packagesIn('.config/eslint.config.js')]);
    const isTool = (name: string): boolean =>
      name.startsWith('@types/') ||
      ['node', 'typescript'].includes(name) ||
      Object.values(scripts).join().includes(name);
    const declared = [...Object.keys(dependencies), ...Object.keys(devDependencies)];
    const unused = declared.filter((name) => !everywhere.has(name) && !isTool(name));
    expect(unused, 'a package that nobody imports is only a risk').toEqual([]);
    expect(
      [...inShipped].filter((name) => !(name in dependencies)),
      'an installed journal has only its dependencies, not its devDependencies',
    ).toEqual([]);
    expect([...everywhere].filter((name) => !declared.includes(name))).toEqual([]);
  });
});

describe('imports', () => {
  const graph = new Map(shipped.map((file) => [file, localImports(file)]));

  test('stay within the rooms that a room may use', () => {
    const broken = [...graph].flatMap(([file, targets]) =>
      targets.map((target) => foreignImport(file, target)).filter((message) => message !== undefined),
    );
    expect(broken, 'see test/support/rooms.ts').toEqual([]);
  });

  test('bring packages only into the rooms that need them', () => {
    const broken = shipped.flatMap((file) =>
      specifiers(file).flatMap((specifier) => {
        const rule = brokenPackageRule(file, specifier);
        return rule === undefined ? [] : [`${file} imports ${specifier}: ${rule.reason}`];
      }),
    );
    expect(broken, 'see test/support/rooms.ts').toEqual([]);
  });

  test('form no cycles', () => {
    const cycle = findCycle(graph);
    expect(cycle, 'files that need each other are one file, or miss a third one below both').toBeUndefined();
  });

  test('name Node modules with their scheme', () => {
    const bare = sources.flatMap((file) =>
      specifiers(file)
        .filter(isBareNodeModule)
        .map((specifier) => `${file}: ${specifier}`),
    );
    expect(bare, "`node:` can't be mistaken for a package").toEqual([]);
  });
});

describe('every source file', () => {
  test('opens with a comment on its role', () => {
    const bare = shipped.filter((file) => !/^(#!.*\n)?\s*\/[/*]/.test(read(file)));
    expect(bare, 'the first lines say what the file is for, who its neighbours are, and what always holds').toEqual([]);
  });

  test('has at most 400 lines', () => {
    const long = shipped.filter((file) => lineCount(file) > 400 && !longFiles.has(file));
    expect(long, 'cut it where its comment says "and"; or name it in longFiles with a reason').toEqual([]);
    const short = [...longFiles.keys()].filter((file) => !shipped.includes(file) || lineCount(file) <= 400);
    expect(short, 'this exception is no longer needed').toEqual([]);
  });

  test('has no any, no enum, no default export', () => {
    const found = shipped.flatMap((file) => nodesOf(file).flatMap((node) => forbiddenNode(file, node)));
    expect(found).toEqual([]);
  });

  test('does something itself instead of only re-exporting', () => {
    const barrels = shipped.filter((file) => !publicFaces.has(file) && isBarrel(file));
    expect(barrels, 'an import names the module it means, so that the graph shows who needs what').toEqual([]);
  });

  test('is finished', () => {
    const leftover = new RegExp(
      ['\\bTO' + 'DO\\b', '\\bFIX' + 'ME\\b', '\\bX' + 'XX\\b', '^\\s*debug' + 'ger\\b'].join('|'),
      'm',
    );
    expect(sources.filter((file) => leftover.test(read(file)))).toEqual([]);
    const prints = shipped.filter((file) => !file.startsWith('src/cli/') && /\bconsole\.\w+\(/.test(read(file)));
    expect(prints, 'only the command line prints; the rooms below report events and errors').toEqual([]);
  });
});

test('test titles state what holds', () => {
  const titles = sources
    .filter((file) => /\.(test|long)\.ts$/.test(file))
    .flatMap((file) => nodesOf(file).flatMap((node) => titleOf(node).map((title) => `${file}: ${title}`)));
  expect(
    titles.filter((title) => /: should\b/i.test(title)),
    '"keeps the tail" rather than "should keep the tail": a title is a statement that the test proves',
  ).toEqual([]);
});

test('the README tells of no fault that is not shown by a test', () => {
  const [, section = ''] = read('README.md').split('## What happens when…\n');
  const [table = ''] = section.split('\n## ');
  const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| when'));
  expect(rows.length).toBeGreaterThan(20);
  const unproven = rows.filter((row) => {
    const [, name = '', title = ''] = /\| `([a-z0-9/-]+)`: (.+) \|$/.exec(row) ?? [];
    const file = `test/${name}.test.ts`;
    return !files.includes(file) || !nodesOf(file).some((node) => titleText(node).includes(title));
  });
  expect(unproven, 'the last column is `folder/file`: and the title of a test, or of a describe, in that file').toEqual(
    [],
  );
});

/** Files of the repository, committed or about to be, not the ignored ones; in an unpacked archive, what is there. */
function repositoryFiles(): string[] {
  const git = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  const names =
    git.status === 0 ? git.stdout.toString().split('\0') : globSync('**/*', { cwd: root, exclude: isNeverOurs });
  return [...new Set(names)].filter((file) => isFile(path.join(root, file))).sort();
}

function isNeverOurs(name: string): boolean {
  return ['node_modules', 'dist', 'coverage', 'journal-data'].includes(name);
}

function isFile(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isTopLevel(name: string): boolean {
  return name.startsWith('.') || topLevel.has(name);
}

function isText(file: string): boolean {
  return !/\.(rdb|aof|bin|seg|png|gz|zst)$/.test(file) && !file.startsWith('journal-format/vectors/');
}

function read(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

function lineCount(file: string): number {
  return read(file).trimEnd().split('\n').length;
}

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest, true);
}

function parsedFile(file: string): ts.SourceFile {
  return parsed.get(file) ?? parse(file);
}

function nodesOf(file: string): ts.Node[] {
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    ts.forEachChild(node, visit);
  };
  visit(parsedFile(file));
  return nodes;
}

/** What a file imports, statically, dynamically, for types, or by re-exporting. */
function specifiers(file: string): string[] {
  return ts.preProcessFile(read(file), true, true).importedFiles.map((reference) => reference.fileName);
}

function localImports(file: string): string[] {
  return specifiers(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => path.posix.normalize(path.posix.join(path.posix.dirname(file), specifier)));
}

function foreignImport(file: string, target: string): string | undefined {
  const from = roomOf(file);
  const to = roomOf(target);
  if (from === undefined) return `${file} is in no room: add it to test/support/rooms.ts`;
  if (to === undefined) return `${file} imports ${target}, which is in no room`;
  if (from === to || from.mayImport.includes(to.name)) return undefined;
  if ((from.mayImportFiles ?? []).some((pattern) => pattern.test(target))) return undefined;
  return `${file} imports ${target}: ${from.reason}`;
}

function packagesIn(file: string): string[] {
  return specifiers(file)
    .filter((specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
    .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
}

function packagesOf(list: readonly string[]): Set<string> {
  return new Set(list.flatMap(packagesIn));
}

function isBareNodeModule(specifier: string): boolean {
  return process.getBuiltinModule(specifier) !== undefined && !specifier.startsWith('node:');
}

function forbiddenNode(file: string, node: ts.Node): string[] {
  const line = parsedFile(file).getLineAndCharacterOfPosition(node.getStart()).line + 1;
  const where = `${file}:${line}`;
  if (node.kind === ts.SyntaxKind.AnyKeyword) return [`${where} any: say what it is, or unknown`];
  if (ts.isEnumDeclaration(node)) return [`${where} enum: a union of literals needs no code and reads the same`];
  const isDefault =
    (ts.isExportAssignment(node) && node.isExportEquals !== true) ||
    (ts.isExportSpecifier(node) && node.name.text === 'default') ||
    (node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent));
  return isDefault ? [`${where} default export: a name that is given once is found everywhere`] : [];
}

function isBarrel(file: string): boolean {
  const statements = parsedFile(file).statements;
  return (
    statements.some((statement) => ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined) &&
    statements.every((statement) => ts.isExportDeclaration(statement) || ts.isImportDeclaration(statement))
  );
}

/** The title of a call of test, it or describe, with any of their modifiers. */
function titleOf(node: ts.Node): string[] {
  if (!ts.isCallExpression(node)) return [];
  const [first] = node.arguments;
  if (first === undefined || !ts.isStringLiteralLike(first)) return [];
  return /^(test|it|describe)\b/.test(node.expression.getText()) ? [first.text] : [];
}

/** The same of a title that is made of parts, and of those of our own functions that describe: as it is written. */
function titleText(node: ts.Node): string {
  if (!ts.isCallExpression(node) || !/^(test|describe)/.test(node.expression.getText())) return '';
  const [first] = node.arguments;
  return first === undefined ? '' : first.getText();
}

interface Manifest {
  readonly dependencies: Record<string, string>;
  readonly devDependencies: Record<string, string>;
  readonly scripts: Record<string, string>;
}

function manifest(): Manifest {
  return JSON.parse(read('package.json')) as Manifest;
}

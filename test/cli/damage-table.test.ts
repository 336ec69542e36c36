// The table of journal-format/SPEC.md, appendix A, row by row: what was done to a journal, and what each verb answers. The
// answers that are expected are those of the page; a row there that nothing is done for here, or the other way round, fails.
import { cpSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeDocument } from '../../journal-format/document.ts';
import { decodeFooter } from '../../journal-format/footer.ts';
import { decodeTrailer, trailerBytes } from '../../journal-format/sealed.ts';
import { systemClock } from '../../src/core/clock.ts';
import { JournalError } from '../../src/core/errors.ts';
import { recover } from '../../src/log/recovery.ts';
import { writeStop } from '../../src/log/timeline-store.ts';
import { sourceTree } from '../../src/log/source-tree.ts';
import type { SourceTree } from '../../src/log/source-tree.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';
import { streamCommand } from '../support/fake-primary.ts';
import { JournalBuilder } from '../support/journal-builder.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { cli } from './cli.ts';

const firstId = 'a'.repeat(40);
const secondId = 'b'.repeat(40);
const second = 1_000_000;
const day = Date.parse('2026-11-20T14:00:00Z') * 1000;

const reads = 21;

let sample: string;
let count = 0;

beforeAll(async () => {
  sample = await makeSample();
});

/**
 * Two timelines behind each other. The newer one: two sealed segments, one open that is to be sealed, and the last one,
 * of three commits, of which the last was never said to be durable.
 */
async function makeSample(): Promise<string> {
  const journal = await JournalBuilder.create('orders');
  const old = await journal.timeline({ id: firstId, offset: 1000, completed: day, segmentBytes: 200 });
  for (let i = 0; i < reads; i += 1) {
    old.read(streamCommand('SET', `key:${i}`, 'old'), day + (i + 1) * second);
    await old.commit();
  }
  await old.seal();
  await journal.mark('old', old, old.end);
  const since = day + 60 * second;
  const newer = await journal.timeline({ id: secondId, offset: 9000, completed: since, segmentBytes: 200 });
  for (let i = 0; i < reads; i += 1) {
    newer.read(streamCommand('SET', `key:${i}`, 'new'), since + (i + 1) * second);
    await newer.commit();
  }
  await newer.seal(1);
  await newer.close();
  const copy = path.join(temporaryDirectory('damage'), 'sample');
  cpSync(journal.root, copy, { recursive: true });
  await journal[Symbol.asyncDispose]();
  return copy;
}

/** One journal, to be damaged. */
class Patient {
  readonly root: string;
  tree: SourceTree;

  constructor() {
    count += 1;
    this.root = path.join(path.dirname(sample), `journal-${count}`);
    cpSync(sample, this.root, { recursive: true });
    this.tree = sourceTree(this.root, 'orders');
  }

  folder(timeline: number): string {
    return path.join(this.tree.timelines, `0000000${timeline}`);
  }

  files(timeline: number, suffix: string): string[] {
    const names = readdirSync(this.folder(timeline)).filter((name) => name.endsWith(suffix));
    return names.sort().map((name) => path.join(this.folder(timeline), name));
  }

  file(timeline: number, suffix: string, index = 0): string {
    const found = this.files(timeline, suffix).at(index);
    if (found === undefined) throw new Error(`no ${suffix} in timeline ${timeline}`);
    return found;
  }

  /** The last open segment, the one before it that waits for its sealing, and a sealed one. */
  get last(): string {
    return this.file(2, '.open', -1);
  }

  get waiting(): string {
    return this.file(2, '.open', 0);
  }

  get sealed(): string {
    return this.file(2, '.seg', 1);
  }

  get mark(): string {
    return path.join(this.tree.marks, readdirSync(this.tree.marks)[0] ?? '');
  }

  /** The path of the source under another name, which the patient has from now on. */
  rename(name: string): string {
    this.tree = sourceTree(this.root, name);
    return this.tree.directory;
  }

  change(file: string, change: (bytes: Buffer) => Buffer): void {
    writeFileSync(file, change(readFileSync(file)));
  }
}

/** As the page writes them: exit codes; `+` behind that of run: it says what it did; `!` behind that of status: it warns. */
type Answers = readonly string[];

const columns = ['run', 'verify', 'ls', 'status', 'restore through it', 'before it', 'elsewhere'];

async function answersOf(patient: Patient): Promise<Answers> {
  const { root } = patient;
  // Nobody writes here, so there is nothing to wait for.
  const clock = { ...systemClock, sleep: () => Promise.resolve() };
  const verb = (...argv: string[]): ReturnType<typeof cli> => cli([...argv, '--dir', root], { clock });
  const code = async (...argv: string[]): Promise<string> => String((await verb(...argv)).exitCode);
  const restore = (target: string): Promise<string> =>
    code('restore', '--at', target, '--to', path.join(temporaryDirectory('restored'), 'to'));
  const status = await verb('status', '--json');
  const answers = [
    await code('verify'),
    await code('ls'),
    `${status.exitCode}${hasDamage(status.stdout) ? '!' : ''}`,
    await restore('latest'),
    await restore(`${secondId}:9050`),
    await restore('mark:old'),
  ];
  return [await answerOfRun(patient.tree), ...answers];
}

function hasDamage(json: string): boolean {
  if (!json.startsWith('{')) return false;
  const { warnings, damaged } = JSON.parse(json) as { warnings: string[]; damaged: unknown[] };
  return damaged.length > 0 || warnings.some((warning) => warning.includes('damaged'));
}

/** What the next writer makes of it, before it connects; it comes last, for it may change something. */
async function answerOfRun(tree: SourceTree): Promise<string> {
  try {
    WriterLock.acquire(tree.directory, 'now')[Symbol.dispose]();
    const { actions } = await recover(localDisk, tree);
    return actions.length === 0 ? '0' : '0+';
  } catch (error) {
    if (error instanceof JournalError) return String(error.exitCode);
    throw error;
  }
}

function flip(at: number): (bytes: Buffer) => Buffer {
  return (bytes) => {
    const place = at < 0 ? bytes.length + at : at;
    bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place);
    return bytes;
  };
}

/** A document of a format version to come. */
function newer(bytes: Buffer): Buffer {
  const { length } = decodeDocument(bytes);
  bytes.writeUInt16LE(2, 6);
  bytes.writeUInt32LE(crc32(bytes.subarray(16, length), crc32(bytes.subarray(0, 12))), 12);
  return bytes;
}

function cut(bytes: number): (whole: Buffer) => Buffer {
  return (whole) => whole.subarray(0, whole.length - bytes);
}

function swap(a: string, b: string): void {
  renameSync(a, `${a}.swap`);
  renameSync(b, a);
  renameSync(`${a}.swap`, b);
}

function underAnotherUnique(file: string): string {
  return file.replace(/-[0-9a-f]{8}\.(\w+)$/, '-00c0ffee.$1');
}

type Damage = (patient: Patient) => unknown;

/** Stream bytes of the newer timeline. */
const newerBytes = Array.from({ length: reads }, (_, i) => streamCommand('SET', `key:${i}`, 'new').length).reduce(
  (sum, bytes) => sum + bytes,
);
const stop = { timeline: 2, offset: 9000 + newerBytes, stamp: 1 };

/** Of the last frame, and of the ones before it. */
function frameBytes({ last }: Patient): number {
  return readFileSync(last).length - readFileSync(last).lastIndexOf('JFRM');
}

/** Where the filters of a sealed segment begin. */
function filtersAt(bytes: Buffer): number {
  const { position } = decodeTrailer(bytes.subarray(-trailerBytes), bytes.length);
  const { filters } = decodeFooter(bytes.subarray(position)).record;
  if (filters === undefined) throw new Error('there are no filters');
  return filters.position;
}

const damages: Readonly<Record<string, Damage>> = {
  nothing: () => undefined,
  'tail: cut inside its last frame': (p) => p.change(p.last, cut(5)),
  'tail: cut at the end of a frame': (p) => p.change(p.last, cut(frameBytes(p))),
  'tail: zeros behind it': (p) => p.change(p.last, (b) => Buffer.concat([b, Buffer.alloc(4096)])),
  'tail: garbage behind it': (p) => p.change(p.last, (b) => Buffer.concat([b, Buffer.alloc(4096, 'JFRM garbage')])),
  'tail: its last sector zeros': (p) => p.change(p.last, (b) => b.fill(0, b.length - 60)),
  'tail: its last sector stale bytes of another segment': (p) =>
    p.change(p.last, (b) => Buffer.concat([b.subarray(0, -60), readFileSync(p.waiting).subarray(-300)])),
  'tail: a bit in its last frame': (p) => p.change(p.last, flip(-3)),
  'tail: a bit in its last frame, and a stop says that it was durable': async (p) => {
    p.change(p.last, flip(-3));
    await writeStop(localDisk, p.folder(2), stop);
  },
  'tail: a bit in an earlier frame': (p) => p.change(p.last, flip(-frameBytes(p) - 3)),
  'tail: a bit in its header': (p) => p.change(p.last, flip(20)),
  'tail: empty': (p) => p.change(p.last, () => Buffer.alloc(0)),
  'tail: not there': (p) => rmSync(p.last),
  'tail: not there, and a stop says that it was durable': async (p) => {
    rmSync(p.last);
    await writeStop(localDisk, p.folder(2), stop);
  },
  'tail: there twice': (p) => cpSync(p.last, underAnotherUnique(p.last)),
  'tail: of a newer version': (p) => p.change(p.last, newer),
  'open, with a successor: a bit': (p) => p.change(p.waiting, flip(-frameBytes(p) - 3)),
  'open, with a successor: cut': (p) => p.change(p.waiting, cut(5)),
  'open, with a successor: not there': (p) => rmSync(p.waiting),
  'sealed: a bit in a block': (p) => p.change(p.sealed, flip(450)),
  'sealed: a bit in its header': (p) => p.change(p.sealed, flip(40)),
  'sealed: a bit in its filters': (p) => p.change(p.sealed, (bytes) => flip(filtersAt(bytes) + 40)(bytes)),
  'sealed: a bit in its footer': (p) => p.change(p.sealed, flip(-60)),
  'sealed: a bit in its trailer': (p) => p.change(p.sealed, flip(-3)),
  'sealed: cut': (p) => p.change(p.sealed, cut(1)),
  'sealed: not there': (p) => rmSync(p.sealed),
  'sealed: under another name': (p) => renameSync(p.sealed, underAnotherUnique(p.sealed)),
  'sealed: under a foreign name': (p) => renameSync(p.sealed, `${p.sealed}.bak`),
  'sealed: there twice': (p) => cpSync(p.sealed, underAnotherUnique(p.sealed)),
  'sealed: two under each other’s names': (p) => swap(p.file(2, '.seg', 0), p.sealed),
  'sealed: one of another timeline beside it': (p) => {
    const other = p.file(1, '.seg', 0);
    cpSync(other, path.join(p.folder(2), path.basename(other)));
  },
  'sealed: of a newer version': (p) => p.change(p.sealed, newer),
  'RDB: a bit': (p) => p.change(p.file(2, '.rdb'), flip(1000)),
  'RDB: cut': (p) => p.change(p.file(2, '.rdb'), cut(1)),
  'RDB: not there': (p) => rmSync(p.file(2, '.rdb')),
  'base: a bit': (p) => p.change(p.file(2, '.base'), flip(30)),
  'base: not there': (p) => rmSync(p.file(2, '.base')),
  'base: of a newer version': (p) => p.change(p.file(2, '.base'), newer),
  'timeline: a bit': (p) => p.change(path.join(p.folder(2), 'timeline'), flip(30)),
  'timeline: not there': (p) => rmSync(path.join(p.folder(2), 'timeline')),
  'timeline: of a newer version': (p) => p.change(path.join(p.folder(2), 'timeline'), newer),
  'gap: a bit': (p) => p.change(path.join(p.folder(2), 'gap'), flip(30)),
  'gap: not there': (p) => rmSync(path.join(p.folder(2), 'gap')),
  'mark: a bit': (p) => p.change(p.mark, flip(30)),
  'mark: not there': (p) => rmSync(p.mark),
  'folder: that of the newest timeline is not there': (p) => rmSync(p.folder(2), { recursive: true }),
  'folder: under another number': (p) => renameSync(p.folder(2), p.folder(3)),
  'folder: of an older timeline is not there': (p) => rmSync(p.folder(1), { recursive: true }),
  'older timeline: a bit in a block': (p) => p.change(p.file(1, '.seg', 1), flip(450)),
  'older timeline: a sealed segment is not there': (p) => rmSync(p.file(1, '.seg', 1)),
  'older timeline: the RDB is not there': (p) => rmSync(p.file(1, '.rdb')),
  'older timeline: the base is not there': (p) => rmSync(p.file(1, '.base')),
  'older timeline: a bit in its document': (p) => p.change(path.join(p.folder(1), 'timeline'), flip(30)),
  'source: the folder under another name': (p) => renameSync(p.tree.directory, p.rename('other')),
  'state.json: garbage': (p) => writeFileSync(p.tree.state, 'garbage'),
  'holder.json: garbage': (p) => writeFileSync(path.join(p.tree.directory, 'holder.json'), '{{{'),
  'lock: not there': (p) => rmSync(path.join(p.tree.directory, 'lock'), { force: true }),
  'lock: garbage': (p) => writeFileSync(path.join(p.tree.directory, 'lock'), 'no database '.repeat(500)),
  'foreign files': (p) => {
    writeFileSync(path.join(p.folder(2), 'notes.txt'), 'mine');
    writeFileSync(path.join(p.tree.timelines, 'readme'), 'mine');
  },
  'unfinished work under a temporary name': (p) => writeFileSync(path.join(p.folder(2), '.tmp-00c0ffee'), 'x'),
};

/** The rows of the page: what was done, and the answers. */
function rowsOfThePage(): Map<string, Answers> {
  const page = readFileSync(path.join(import.meta.dirname, '../../journal-format/SPEC.md'), 'utf8');
  const appendix = page.slice(page.indexOf('\n## Appendix A'));
  const rows = [...appendix.matchAll(/^\|(.*)\|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
  const entries = rows.slice(2).map(([what = '', ...answers]) => [what, answers.slice(0, columns.length)] as const);
  return new Map(entries);
}

const page = rowsOfThePage();

test('the rows of the page are those that are tried here', () => {
  expect([...page.keys()]).toEqual(Object.keys(damages));
});

describe('the answers to', () => {
  test.each(Object.entries(damages))('%s', async (what, damage) => {
    const patient = new Patient();
    await damage(patient);
    const answers = await answersOf(patient);
    expect(named(answers)).toEqual(named(page.get(what) ?? []));
  });
});

function named(answers: Answers): Record<string, string> {
  return Object.fromEntries(columns.map((column, i) => [column, answers[i] ?? '']));
}

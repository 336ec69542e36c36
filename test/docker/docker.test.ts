// What docker/ says against what the program, the lock file and the repository say. No container engine is needed: the
// files are read, and the health check of the image is run on a journal whose writer lives, stalls and is gone.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { verbs } from '../../src/cli/run-cli.ts';
import { readArguments } from '../../src/cli/program.ts';
import { systemClock } from '../../src/core/clock.ts';
import { formatInstant } from '../../src/core/instant.ts';
import { resolveRunConfig } from '../../src/daemon/config.ts';
import { resolveSettings } from '../../src/daemon/layers.ts';
import type { Environment, Layers } from '../../src/daemon/layers.ts';
import { environmentName, settingKeys } from '../../src/daemon/settings.ts';
import { StateWriter } from '../../src/daemon/state-file.ts';
import { localDisk } from '../../src/storage/local-disk.ts';
import { WriterLock } from '../../src/storage/writer-lock.ts';
import { cli, json, KeepingStream } from '../cli/cli.ts';
import { eventually } from '../support/eventually.ts';
import { temporaryDirectory } from '../support/leash.ts';
import { firstId, MadeJournal } from '../support/made-journal.ts';

const root = path.resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

interface Instruction {
  readonly name: string;
  readonly words: string;
}

const dockerfile: readonly Instruction[] = read('docker/Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => ({ name: line.split(' ')[0] ?? '', words: line.slice(line.indexOf(' ') + 1).trim() }));

/** The stage that is shipped. */
const shipped = dockerfile.slice(dockerfile.findLastIndex(({ name }) => name === 'FROM'));

function wordsOf(name: string, stage = dockerfile): string[] {
  return stage.filter((instruction) => instruction.name === name).map(({ words }) => words);
}

/** What an instruction in its JSON form runs. */
function argvOf(name: string): readonly string[] {
  const [words = ''] = wordsOf(name, shipped);
  return JSON.parse(words.slice(words.indexOf('['))) as string[];
}

/** NAME=value pairs of ENV. */
const imageEnvironment: Environment = Object.fromEntries(
  wordsOf('ENV', shipped).flatMap((words) => words.split(/\s+/).map((pair) => pair.split('=', 2) as [string, string])),
);

/** What the command line makes of these words; an error when it doesn't know one of them. */
function understood(argv: readonly string[], env: Environment): Layers {
  const stream = new KeepingStream(false);
  const { signal } = new AbortController();
  const io = { stdout: stream, stderr: stream, env, disk: localDisk, clock: systemClock, signal };
  const asked = readArguments(verbs, argv, io);
  if (typeof asked === 'number') throw new Error(`${argv.join(' ')} asks for nothing: ${stream.text}`);
  return resolveSettings(asked.given, env, asked.configFile);
}

const known: readonly string[] = settingKeys.map(environmentName);

describe('the Dockerfile', () => {
  test('copies what is there and what .dockerignore lets through', () => {
    const ignored = read('.dockerignore').split('\n');
    const copied = wordsOf('COPY')
      .filter((words) => !words.startsWith('--from='))
      .flatMap((words) => words.split(/\s+/).slice(0, -1));
    expect(copied).toContain('src');
    for (const name of copied) {
      expect(existsSync(path.join(root, name)), name).toBe(true);
      expect(
        ignored.some((line) => line === `!${name}` || line.startsWith(`!${name}/`)),
        `.dockerignore keeps ${name} from the engine`,
      ).toBe(true);
    }
  });

  test('runs the Node that the package asks for', () => {
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    const major = /node:(\d+)/.exec(wordsOf('ARG').join())?.[1];
    expect(`>=${major ?? ''}`).toBe(engines.node);
  });

  test('may leave out install scripts, since no package that is shipped has one', () => {
    expect(
      wordsOf('RUN').filter((words) => /npm (ci|prune)/.test(words) && !words.includes('--ignore-scripts')),
    ).toEqual([]);
    const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, LockedPackage> };
    const needing = Object.entries(packages).filter(
      ([, { dev, hasInstallScript }]) => dev !== true && hasInstallScript,
    );
    expect(needing.map(([name]) => name)).toEqual([]);
  });

  test('ends as somebody without rights, whose only folder is the volume', () => {
    expect(wordsOf('USER', shipped)).toEqual(['10001:10001']);
    expect(wordsOf('VOLUME', shipped)).toEqual([imageEnvironment.JOURNAL_DIR]);
    expect(wordsOf('STOPSIGNAL', shipped)).toEqual(['SIGTERM']);
  });

  test('starts a command that exists, with settings that exist', () => {
    const [program, ...words] = [...argvOf('ENTRYPOINT'), ...argvOf('CMD')];
    const { bin } = JSON.parse(read('package.json')) as { bin: Record<string, string> };
    const [linked] = /\S+ (?=\/usr\/local\/bin\/journal)/.exec(wordsOf('RUN', shipped).join()) ?? [];
    expect(linked?.trim()).toBe(path.posix.join('/opt/journal', bin[program ?? ''] ?? ''));
    expect(understood(words, imageEnvironment).values.dir).toBe('/var/lib/journal');
    const strangers = Object.keys(imageEnvironment).filter(
      (name) => name.startsWith('JOURNAL_') && !known.includes(name),
    );
    expect(strangers).toEqual([]);
  });

  test('checks health by durable progress: a writer that has stalled or is gone fails it, one at work does not', async () => {
    await using journal = await MadeJournal.open();
    await journal.fullSync(firstId, 1000);
    await journal.write(['SET', 'a', '1']);
    const { root: dir, tree, clock } = journal;
    const [, ...argv] = argvOf('HEALTHCHECK');
    const check = (): Promise<{ readonly exitCode: number; readonly stdout: string }> =>
      cli([...argv, '--json'], { env: { ...imageEnvironment, JOURNAL_DIR: dir }, clock });
    const startedAt = formatInstant(clock.wall());
    {
      using _lock = WriterLock.acquire(tree.directory, startedAt);
      const failed = (error: unknown): never => {
        throw error;
      };
      const options = { disk: localDisk, clock, path: tree.state, source: '10.0.0.5:6379', startedAt, failed };
      await using writer = new StateWriter(options);
      writer.update({ state: 'streaming', timeline: 1 });
      await eventually('the writer to tell that it streams', async () => {
        return existsSync(tree.state) && readFileSync(tree.state, 'utf8').includes('streaming') ? true : undefined;
      });
      expect(await check()).toMatchObject({ exitCode: 0 });
      // Time goes by and its words stay as they are: what a process that hangs looks like from outside.
      const words = readFileSync(tree.state);
      clock.advance(6000);
      await writer[Symbol.asyncDispose]();
      writeFileSync(tree.state, words);
      const stalled = await check();
      expect(json({ ...stalled, stderr: '' })).toMatchObject({ state: 'stalled' });
      expect(stalled.exitCode).toBe(1);
    }
    const gone = await check();
    expect(json({ ...gone, stderr: '' })).toMatchObject({ state: 'stopped' });
    expect(gone.exitCode).toBe(1);
  });
});

interface LockedPackage {
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
}

interface Service {
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly healthcheck?: object;
  readonly stop_grace_period?: string;
  readonly user?: string;
  readonly build?: { readonly dockerfile: string };
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Environment;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

describe('the compose file', () => {
  const compose = parse(read('docker/compose.yaml'), { merge: true }) as Compose;
  const services = Object.entries(compose.services);

  test('locks every service down, and lets it end in good order', () => {
    for (const [name, service] of services) {
      expect(service, name).toMatchObject({ read_only: true, cap_drop: ['ALL'] });
      expect(service.security_opt, name).toContain('no-new-privileges:true');
      expect(service.stop_grace_period, name).toMatch(/^\d+s$/);
      expect(service.build !== undefined || service.user !== undefined, `${name} is not root`).toBe(true);
    }
  });

  test('names services, secrets and volumes that exist, and waits for health that is checked', () => {
    for (const [name, { secrets = [], volumes = [], depends_on: needed = {} }] of services) {
      for (const secret of secrets) expect(compose.secrets, name).toHaveProperty(secret);
      for (const volume of volumes) expect(compose.volumes, name).toHaveProperty(volume.split(':')[0] ?? '');
      for (const [other, { condition }] of Object.entries(needed)) {
        expect(condition).toBe('service_healthy');
        expect(compose.services[other]?.healthcheck, `${other} tells its health`).toBeDefined();
      }
    }
  });

  test('gives journal settings that it understands, and the volume where it writes', () => {
    const { environment = {}, volumes } = compose.services.journal ?? {};
    const file = path.join(temporaryDirectory('secret'), 'password');
    writeFileSync(file, 'secret\n', { mode: 0o600 });
    expect(environment.JOURNAL_PASSWORD_FILE).toBe('/run/secrets/journal-password');
    const env = { ...imageEnvironment, ...environment, JOURNAL_PASSWORD_FILE: file };
    const strangers = Object.keys(environment).filter((name) => !known.includes(name));
    expect(strangers).toEqual([]);
    expect(resolveRunConfig(understood(argvOf('CMD'), env), env)).toMatchObject({
      name: 'primary',
      root: '/var/lib/journal',
    });
    expect(volumes).toEqual([`journal:${imageEnvironment.JOURNAL_DIR ?? ''}`]);
  });

  test('lets the user of journal do what the README asks for', () => {
    const [, rights = ''] = /user journal on \S+ (.*)/.exec(read('docker/compose.yaml')) ?? [];
    const [, asked = ''] = /ACL SETUSER journal on >… ([^`]*)`/.exec(read('README.md')) ?? [];
    expect(asked).not.toBe('');
    expect(rights.split(' ')).toEqual(expect.arrayContaining(asked.split(' ')));
  });
});

describe('the systemd unit', () => {
  const unit = read('docker/journal.service')
    .split('\n')
    .filter((line) => /^\w+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
  const valuesOf = (key: string): string[] => unit.filter(([name]) => name === key).map(([, value]) => value);

  test('starts a command that exists, with settings that exist', () => {
    const pairs = valuesOf('Environment').map((pair) => pair.split('=', 2) as [string, string]);
    expect(pairs.map(([name]) => name).filter((name) => !known.includes(name))).toEqual([]);
    const [start = ''] = valuesOf('ExecStart');
    const [program, ...argv] = start.split(' ');
    expect(program).toBe('/usr/local/bin/journal');
    expect(understood(argv, Object.fromEntries(pairs)).values.source).toEqual([expect.stringMatching(/^redis:/)]);
    expect(valuesOf('StateDirectory').map((name) => `%S/${name}`)).toEqual([Object.fromEntries(pairs).JOURNAL_DIR]);
  });
});

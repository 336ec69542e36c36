// What runs before everything else: `npm test` and `npm run demo` on a fresh clone, on any Node from 20 on, with
// nothing installed. It brings what the real script needs (packages, Node 24 among them, and a Redis or Valkey
// server), says so in short lines, and then runs the script given as its argument through npm.
//
// Plain JavaScript without dependencies, because neither TypeScript nor node_modules can be counted on here. With
// everything in place it changes nothing, needs no network and costs a few milliseconds.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const nodeFloor = 20;
const nodeNeeded = 24;
const servers = ['redis-server', 'valkey-server'];
/** Where servers live that a user's PATH often leaves out. */
const moreServerFolders = ['/usr/local/bin', '/usr/local/sbin', '/usr/bin', '/usr/sbin', '/opt/homebrew/bin'];

// A package of a server starts that server, now and at every boot, which nobody asked for who wanted to run tests (and
// it would hold port 6379). policy-rc.d is Debian's way to prevent the first; one that is already there is respected.
const installServerScript = String.raw`
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\ncase "$1" in redis*) exit 101 ;; esac\nexit 0\n' >"$policy"
  chmod 755 "$policy"
fi
apt-get update
apt-get install -y --no-install-recommends redis-server
if [ -d /run/systemd/system ]; then
  systemctl disable --now redis-server || true
else
  if [ -x /etc/init.d/redis-server ]; then /etc/init.d/redis-server stop || true; fi
  update-rc.d redis-server disable || true
fi
`;

const task = process.argv[2];
if (task === undefined) fail('usage: node test/support/bootstrap.mjs <npm script>', 2);
if (major(process.versions.node) < nodeFloor) {
  fail(`Node ${process.versions.node} is too old: install Node ${nodeFloor} or later (${nodeNeeded} recommended)`);
}
const env = { ...process.env };
ensurePackages();
ensureNode();
ensureServer();
run(task);

/** Installs exactly what the lock file names, unless that is what is there. */
function ensurePackages() {
  const reason = whyInstall();
  if (reason === undefined) return;
  say(`${reason}: npm ci`);
  // --include=dev: a NODE_ENV=production in the environment would leave out the compiler and the test runner.
  const { command, args } = npm('ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error');
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' });
  if (status !== 0) fail(`npm ci failed${error ? ` (${error.message})` : ''}: its messages are above`);
  const remaining = whyInstall();
  if (remaining !== undefined) fail(`npm ci succeeded, but ${remaining}`);
}

/**
 * Compares package-lock.json with npm's own record of what it installed, which it writes last: an interrupted install
 * leaves none. Entries are compared by place, version and checksum, so it doesn't matter which npm command installed
 * them, nor when. Optional packages may be missing: they are for other platforms.
 */
function whyInstall() {
  const wanted = readPackages('package-lock.json');
  if (wanted === undefined) fail('package-lock.json is missing or unreadable');
  const installed = readPackages('node_modules/.package-lock.json');
  if (installed === undefined) return 'packages are not installed';
  for (const [place, entry] of Object.entries(wanted)) {
    if (place === '' || entry.link) continue;
    const found = installed[place];
    if (found === undefined || !existsSync(path.join(root, place, 'package.json'))) {
      if (entry.optional || entry.devOptional) continue;
      return `${place} is missing`;
    }
    if (found.version !== entry.version || found.integrity !== entry.integrity) {
      return `${place} is not the version that package-lock.json names`;
    }
  }
  return undefined;
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** The scripts run on the Node that npm finds first: the one among our packages, else the user's. */
function ensureNode() {
  const folders = [path.join(root, 'node_modules', '.bin'), ...pathFolders()];
  const node = findProgram(['node'], folders) ?? process.execPath;
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  const version = (stdout ?? '').trim().replace(/^v/, '');
  if (major(version) >= nodeNeeded) return;
  fail(
    `Node ${nodeNeeded} is needed and the package \`node\`, which brings it, did not install it here ` +
      `(are install scripts switched off?): run \`npm rebuild node --ignore-scripts=false\`, or install Node ${nodeNeeded}`,
  );
}

/** Makes sure that a server can be started by name, installing the distribution's where that can be done unasked. */
function ensureServer() {
  if (locateServer()) return;
  const advice = 'no redis-server or valkey-server found: install one (Debian, Ubuntu: apt-get install redis-server)';
  if (findProgram(['apt-get'], pathFolders()) === undefined) fail(advice);
  const asRoot = rootPrefix();
  if (asRoot === undefined) fail(advice);
  say('no redis-server found: apt-get install redis-server (its service stays off)');
  const [command, ...args] = [...asRoot, 'sh', '-c', installServerScript];
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) {
    process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
    fail(`apt-get could not install redis-server; ${advice}`);
  }
  if (!locateServer()) fail(advice);
}

/** Finds a server and, where its folder is not on PATH, puts it there for the script. */
function locateServer() {
  const folders = pathFolders();
  const server = findProgram(servers, [...folders, ...moreServerFolders]);
  if (server === undefined) return false;
  const folder = path.dirname(server);
  if (!folders.includes(folder)) env.PATH = [...folders, folder].join(path.delimiter);
  return true;
}

/** What to put before a command to run it as root without asking anybody; undefined where that is impossible. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  const { status } = spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' });
  return status === 0 ? ['sudo', '-n'] : undefined;
}

/**
 * Runs the script and ends as it ends: same exit code, same signal. A signal must reach the program at the end of npm's
 * chain of shells, which don't pass it on. At a terminal Ctrl-C reaches all of them by itself; elsewhere the script is
 * a process group of its own, and a signal to us is sent to that whole group.
 */
function run(script) {
  const { command, args } = npm('run', '--silent', script);
  const interactive = process.stdin.isTTY === true;
  const child = spawn(command, args, { cwd: root, env, stdio: 'inherit', detached: !interactive });
  const forward = (signal) => {
    if (!interactive) process.kill(-child.pid, signal);
    else if (signal !== 'SIGINT') child.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  child.on('error', (error) => fail(`cannot start npm: ${error.message}`));
  child.on('exit', (code, signal) => {
    for (const name of signals) process.off(name, forward);
    if (signal !== null) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}

/** The npm that runs us, else the one on PATH. */
function npm(...args) {
  const cli = process.env.npm_execpath;
  if (cli?.endsWith('.js')) return { command: process.execPath, args: [cli, ...args] };
  return { command: 'npm', args };
}

function findProgram(names, folders) {
  for (const folder of folders) {
    for (const name of names) {
      const candidate = path.join(folder, name);
      try {
        accessSync(candidate, constants.X_OK);
        return candidate;
      } catch {
        // not here
      }
    }
  }
  return undefined;
}

function pathFolders() {
  return (env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
}

function major(version) {
  return Number.parseInt(version, 10) || 0;
}

function say(line) {
  process.stdout.write(`journal: ${line}\n`);
}

function fail(line, code = 1) {
  process.stderr.write(`journal: ${line}\n`);
  process.exit(code);
}

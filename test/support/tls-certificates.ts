// Authorities and certificates for tests, made with the openssl command line in a directory that disappears with the test
// process. Invariant: keys are of mode 0600, everything is valid for a day, and nothing of it is trusted by anybody else.
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryDirectory } from './leash.ts';
import type { ServerBinary } from './servers.ts';

export interface KeyPair {
  readonly certFile: string;
  readonly keyFile: string;
}

export function hasOpenssl(): boolean {
  return spawnSync('openssl', ['version']).status === 0;
}

/** Whether the server was built with TLS: one that was complains about the value, one that was not about the name. */
export function hasTls(binary: ServerBinary): boolean {
  const { stdout, stderr } = spawnSync(binary.path, ['--tls-port', 'none'], { encoding: 'utf8', timeout: 5000 });
  return (stdout + stderr).includes('parsed into an integer');
}

export class Authority {
  readonly #directory = temporaryDirectory('authority');
  readonly #own: KeyPair;
  #issued = 0;

  constructor(name: string) {
    this.#own = this.#files('authority');
    const { keyFile, certFile } = this.#own;
    const extensions = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=keyCertSign'];
    openssl('req', '-x509', '-days', '1', ...newKey(keyFile), '-out', certFile, '-subj', `/CN=${name}`, ...extensions);
  }

  /** Its certificate, as PEM. */
  get caFile(): string {
    return this.#own.certFile;
  }

  /** A certificate for these names: DNS:… and IP:…, as openssl writes them. */
  issue(...names: readonly string[]): KeyPair {
    this.#issued += 1;
    const pair = this.#files(`issued-${this.#issued}`);
    const request = path.join(this.#directory, 'request.pem');
    const extensions = path.join(this.#directory, 'extensions');
    writeFileSync(extensions, names.length > 0 ? `subjectAltName=${names.join(',')}\n` : '');
    openssl('req', ...newKey(pair.keyFile), '-out', request, '-subj', `/CN=journal test ${this.#issued}`);
    const signing = ['-CA', this.#own.certFile, '-CAkey', this.#own.keyFile, '-CAcreateserial'];
    openssl('x509', '-req', '-days', '1', '-in', request, '-out', pair.certFile, ...signing, '-extfile', extensions);
    return pair;
  }

  #files(name: string): KeyPair {
    const [certFile, keyFile] = ['pem', 'key'].map((ending) => path.join(this.#directory, `${name}.${ending}`));
    return { certFile: certFile ?? '', keyFile: keyFile ?? '' };
  }
}

function newKey(keyFile: string): string[] {
  writeFileSync(keyFile, '', { mode: 0o600 });
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

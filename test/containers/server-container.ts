// ServerContainer: a server as its users run it, from a public image, in whatever container engine Testcontainers finds.
// Only its port can be reached, not its files: data goes in as a directory when it starts, and what it holds is read with
// commands. Neighbours: ../support/redis-server.ts starts the programs of this machine.
// Invariant: start() returns a server that answers commands and has finished loading; disposal removes the container.
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { RespClient } from '../support/resp-client.ts';
import type { ServerVersion } from '../support/servers.ts';

export interface ServerContainerOptions {
  /** A restored directory, which becomes the server's data directory. */
  readonly dir?: string;
  /** More of the server's command line. */
  readonly args?: readonly string[];
}

/** Each kind and release that is supported, by the name of its public image. */
export const images = [
  ...['redis:6.0', 'redis:7.0', 'redis:8.0'],
  ...['valkey/valkey:8.0', 'valkey/valkey:8.1', 'valkey/valkey:9.1'],
] as const;

const port = 6379;
const startupTimeoutMs = 120_000;

export class ServerContainer implements AsyncDisposable {
  readonly version: ServerVersion;
  readonly #container: StartedTestContainer;

  private constructor(container: StartedTestContainer, version: ServerVersion) {
    this.#container = container;
    this.version = version;
  }

  static async start(image: string, options: ServerContainerOptions = {}): Promise<ServerContainer> {
    const { dir, args = [] } = options;
    // An image's entry point takes options alone for those of its server. DEBUG is closed since 7.0, and without a word
    // to open it before.
    const debug = image === 'redis:6.0' ? [] : ['--enable-debug-command', 'yes'];
    const definition = new GenericContainer(image)
      .withExposedPorts(port)
      .withCommand(['--save', '', '--protected-mode', 'no', '--repl-diskless-sync-delay', '0', ...debug, ...args])
      .withCopyDirectoriesToContainer(dir === undefined ? [] : [{ source: dir, target: '/data' }])
      .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
      .withStartupTimeout(startupTimeoutMs);
    const container = await definition.start();
    try {
      await using client = await RespClient.connect(addressOf(container));
      return new ServerContainer(container, await readVersion(client));
    } catch (error) {
      await container.stop();
      throw error;
    }
  }

  /** Where the engine has published the port. */
  get address(): { readonly host: string; readonly port: number } {
    return addressOf(this.#container);
  }

  connect(): Promise<RespClient> {
    return RespClient.connect(this.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.stop();
  }
}

function addressOf(container: StartedTestContainer): { readonly host: string; readonly port: number } {
  return { host: container.getHost(), port: container.getMappedPort(port) };
}

async function readVersion(client: RespClient): Promise<ServerVersion> {
  const info = await client.text('INFO', 'server');
  // Valkey tells both, the one of Redis for compatibility.
  const valkey = /^valkey_version:(\S+)/m.exec(info)?.[1];
  const version = valkey ?? /^redis_version:(\S+)/m.exec(info)?.[1] ?? '';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return { kind: valkey === undefined ? 'redis' : 'valkey', version, major, minor };
}

// Suites over every server of this machine. Apart from servers.ts, because vitest can be imported only inside its
// runner and benchmarks use servers.ts as well.
// Invariant: a machine without servers fails loudly; a suite that ran on nothing must not look green.
import { describe, test } from 'vitest';
import { availableServers, noServerMessage, type ServerBinary, serverLabel } from './servers.ts';

export interface DescribeServersOptions {
  /** Leaves out servers that lack what the suite is about. */
  readonly where?: (server: ServerBinary) => boolean;
}

/** `describe` once for each server, its name in the title. */
export function describeServers(
  title: string,
  define: (server: ServerBinary) => void,
  options: DescribeServersOptions = {},
): void {
  const servers = availableServers();
  if (servers.length === 0) {
    test(title, () => {
      throw new Error(noServerMessage);
    });
    return;
  }
  const chosen = servers.filter((server) => options.where?.(server) ?? true);
  describe.each(chosen.map((server) => [serverLabel(server), server] as const))(`${title} [%s]`, (_label, server) => {
    define(server);
  });
}

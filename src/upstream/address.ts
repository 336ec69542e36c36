/**
 * Where a primary is and how it wants to be spoken to. Pure; connect.ts and probe.ts use it. Secrets are held in
 * Credentials only and are printed by nothing.
 */
import { UsageError } from '../core/errors.ts';

export interface SourceAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface Credentials {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
}

export interface TlsSettings {
  /** PEM; the system's authorities when absent. */
  readonly ca?: Buffer | undefined;
  /** PEM of the client certificate and its key: both or neither. */
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  /** The name that the server's certificate must be for; the host when absent. */
  readonly serverName?: string | undefined;
  /** False only when the user said so. */
  readonly verify: boolean;
}

const defaultPort = 6379;

/** What an address is of, and how that is said on the command line. */
export interface AddressWords {
  readonly what: string;
  readonly option: string;
  readonly passwordOption: string;
  readonly passwordVariable: string;
}

const sourceWords: AddressWords = {
  what: 'source',
  option: '--source',
  passwordOption: '--password-file',
  passwordVariable: 'JOURNAL_PASSWORD',
};

/** `redis://[user@]host[:port]` or `rediss://…`; IPv6 hosts in brackets. A password in it is refused: ps shows it. */
export function parseSource(
  text: string,
  words: AddressWords = sourceWords,
): { readonly address: SourceAddress; readonly user: string | undefined } {
  const { what, passwordOption, passwordVariable } = words;
  const notAnAddress = (): UsageError => malformed(words);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'redis:' && url.protocol !== 'rediss:') || url.hostname === '') {
    throw notAnAddress();
  }
  if (url.password !== '') {
    throw new UsageError(
      'password-in-url',
      `a password in the ${what} address would be seen in process lists and logs`,
      {
        hint: `use ${passwordOption} FILE or ${passwordVariable} instead`,
      },
    );
  }
  if ((url.pathname !== '' && url.pathname !== '/') || url.search !== '' || url.hash !== '') {
    throw new UsageError(`bad-${what}`, `a ${what} address ends with the port: it is of a server with all its dbs`, {
      hint: 'leave out what follows the port',
    });
  }
  const host = unescaped(url.hostname, notAnAddress).replace(/^\[(.*)\]$/, '$1');
  const port = url.port === '' ? defaultPort : Number(url.port);
  if (port === 0) throw notAnAddress();
  const user = url.username === '' ? undefined : unescaped(url.username, notAnAddress);
  return { address: { host, port, tls: url.protocol === 'rediss:' }, user };
}

/** The percent signs of a URL may stand before anything. */
function unescaped(part: string, notAnAddress: () => UsageError): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw notAnAddress();
  }
}

/** The text is not repeated: a mistyped URL may hold a password. */
function malformed({ what, option }: AddressWords): UsageError {
  return new UsageError(
    `bad-${what}`,
    `the ${what} is not an address of the form redis://host:port or rediss://host:port`,
    {
      hint: `for example ${option} redis://10.0.0.5:6379, or ${option} rediss://[2001:db8::5]:6380 for TLS`,
    },
  );
}

/** `host:port`, IPv6 in brackets. */
export function formatAddress({ host, port }: Pick<SourceAddress, 'host' | 'port'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What formatAddress made a text of; `?` and 0 where it is none. */
export function readAddress(text: string): Pick<SourceAddress, 'host' | 'port'> {
  const [, host = '?', port = '0'] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? [];
  return { host, port: Number(port) };
}

/** A source name made of an address, for journals whose user gave none. */
export function sourceNameOf(address: SourceAddress): string {
  return formatAddress(address)
    .replace(/[^A-Za-z0-9.]+/g, '-')
    .replace(/^[-.]+/, '')
    .slice(0, 64);
}

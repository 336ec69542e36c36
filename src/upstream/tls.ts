/**
 * TLS with a primary: what it is asked for, and what its failures mean. For the link (connect.ts) and the side connection
 * (probe.ts) alike, so that both trust the same and are known as the same.
 */
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { LinkError } from '../core/errors.ts';
import type { TlsSettings } from './address.ts';

export function tlsOptions(host: string, { ca, cert, key, serverName, verify }: TlsSettings): ConnectionOptions {
  const identity = serverName ?? host;
  return {
    rejectUnauthorized: verify,
    // An address is no name to ask for, yet a certificate may be for one.
    ...(isIP(identity) === 0 && { servername: identity }),
    checkServerIdentity: (_host, certificate) => checkServerIdentity(identity, certificate),
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

/** What OpenSSL and Node call a certificate that does not verify. */
const notVerified =
  /^(?!ERR_SSL)(.*(CERT|SELF_SIGNED|ALTNAME|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE).*|UNABLE_TO_.*)$/;

/**
 * The peer's alerts about our certificate. TLS 1.3 has them only after the connection is up, TLS 1.2 says no more than
 * that the handshake failed when none was given.
 */
const notAccepted = /^ERR_SSL_.*ALERT_(HANDSHAKE_FAILURE|CERTIFICATE_\w+|BAD_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/;

/**
 * The error for a failure of TLS; undefined when it was something else. Its hints name options, which begin with `prefix`.
 */
export function tlsProblem(where: string, cause: unknown, prefix = ''): LinkError | undefined {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const reason = reasonOf(cause);
  if (notVerified.test(code)) {
    return new LinkError('certificate', `the certificate of ${where} does not verify: ${reason}`, 'never', {
      hint: `give the authority with --${prefix}tls-ca FILE, or the name in the certificate with --${prefix}tls-server-name`,
      exitCode: 10,
      cause,
    });
  }
  if (notAccepted.test(code)) {
    const message = `${where} does not accept us without a client certificate, or not this one: ${reason}`;
    return new LinkError('client-certificate', message, 'never', {
      hint: `give one with --${prefix}tls-cert FILE and --${prefix}tls-key FILE, of an authority that the server knows (tls-ca-cert-file)`,
      exitCode: 10,
      cause,
    });
  }
  if (/^ERR_SSL|^EPROTO$/.test(code)) return tlsFailure(where, reason, cause);
  return undefined;
}

/** No TLS came about, for a reason that is not the certificates. */
export function tlsFailure(where: string, reason: string, cause?: unknown): LinkError {
  return new LinkError('tls', `TLS with ${where} failed: ${reason}`, 'later', {
    hint: 'rediss:// is for a port that speaks TLS (tls-port); a plain port needs redis://',
    cause,
  });
}

/** OpenSSL's message is full of addresses and line numbers; its reason is what people read. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return 'reason' in cause && typeof cause.reason === 'string' ? cause.reason : cause.message;
}

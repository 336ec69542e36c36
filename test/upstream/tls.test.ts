// What failures of TLS mean, by the codes that OpenSSL and Node give them; the real ones are made in test/redis/tls.
import { describe, expect, test } from 'vitest';
import { tlsOptions, tlsProblem } from '../../src/upstream/tls.ts';

function failure(code: string, reason?: string): Error {
  return Object.assign(new Error(`40ED:error:0A:SSL routines:f:${code}`), { code, ...(reason && { reason }) });
}

describe('a failure of TLS', () => {
  test.each([
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate', 'never', 10],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate', 'never', 10],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate', 'never', 10],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate', 'never', 10],
    ['CERT_HAS_EXPIRED', 'certificate', 'never', 10],
    ['HOSTNAME_MISMATCH', 'certificate', 'never', 10],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate', 'never', 10],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'client-certificate', 'never', 10],
    ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', 'client-certificate', 'never', 10],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'client-certificate', 'never', 10],
    ['ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'client-certificate', 'never', 10],
    ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED', 'client-certificate', 'never', 10],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls', 'later', 11],
    ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'tls', 'later', 11],
    ['EPROTO', 'tls', 'later', 11],
  ])('%s is one of kind %s, to be tried again %s', (code, kind, retry, exitCode) => {
    const problem = tlsProblem('primary:6379', failure(code));
    expect(problem).toMatchObject({ code: kind, retry, exitCode });
    expect(problem?.message).toContain('primary:6379');
    expect(problem?.hint).toBeTruthy();
  });

  test.each(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', ''])('%s is none', (code) => {
    expect(tlsProblem('primary:6379', failure(code))).toBeUndefined();
    expect(tlsProblem('primary:6379', undefined)).toBeUndefined();
  });

  test('is told by its reason, not with the innards of OpenSSL', () => {
    const problem = tlsProblem('primary:6379', failure('ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version number'));
    expect(problem?.message).toBe('TLS with primary:6379 failed: wrong version number');
  });
});

test.each([
  ['10.0.0.5', undefined, undefined],
  ['primary.example', undefined, 'primary.example'],
  ['10.0.0.5', 'primary.example', 'primary.example'],
  ['primary.example', '10.0.0.5', undefined],
  ['::1', undefined, undefined],
])('of %s, expected to be %s, the name %s is asked for: an address is no name', (host, serverName, asked) => {
  expect(tlsOptions(host, { serverName, verify: true }).servername).toBe(asked);
});

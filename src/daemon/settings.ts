/**
 * Every setting of the program in one table: its name, what it takes, its default, its explanation. The same name serves
 * on the command line (`--tls-ca`), in the environment (`JOURNAL_TLS_CA`) and in a YAML file (`tls-ca:`), in this order
 * of precedence. Help texts are made from this table, so that none can be forgotten there.
 *
 * Neighbours: layers.ts finds the values, config.ts makes of them what `run` needs. Secrets are no settings: they come
 * from files or from JOURNAL_PASSWORD.
 */
import { z } from 'zod';

export interface Setting {
  /** What stands for the value in help texts; undefined for a switch. */
  readonly value: string | undefined;
  readonly help: string;
  /** As told in help texts. */
  readonly fallback?: string;
  /** May be given several times: the values are joined with commas, or kept apart where they may hold commas. */
  readonly isList?: 'joined' | 'apart';
  /** Relative paths in a file are relative to that file. */
  readonly isPath?: true;
}

const text = z.union([z.string().min(1, 'is empty'), z.number().transform(String)]);
/** Several, or one text with commas. */
const list = z
  .union([text, z.array(text)])
  .transform((given) => [given].flat().flatMap((part) => part.split(',').map((one) => one.trim())));
const onOff = z.union([z.boolean(), z.stringbool({ error: 'is not true or false' })]);

/** Texts that may hold commas; a variable of the environment holds one. */
const texts = z
  .union([text, z.array(text)])
  .transform((given) => [given].flat())
  .default([]);

/** The shape of each value, as it comes from any layer. */
export const settingsSchema = z.object({
  dir: text.default('./journal-data'),
  name: text.optional(),
  json: onOff.default(false),
  quiet: onOff.default(false),
  'no-color': onOff.default(false),
  source: list.optional(),
  user: text.optional(),
  'password-file': text.optional(),
  'tls-ca': text.optional(),
  'tls-cert': text.optional(),
  'tls-key': text.optional(),
  'tls-server-name': text.optional(),
  'tls-insecure': onOff.default(false),
  'relative-ttl': z.enum(['refuse', 'convert'], 'is not refuse or convert').default('refuse'),
  ttl: z.enum(['keep', 'as-of', 'shift', 'persist'], 'is not keep, as-of, shift or persist').default('keep'),
  'keep-local': text.optional(),
  listen: text.optional(),
  'listen-password-file': text.optional(),
  'listen-user': texts,
  'listen-tls-cert': text.optional(),
  'listen-tls-key': text.optional(),
  'listen-tls-ca': text.optional(),
  announce: text.optional(),
  ack: z.enum(['local', 'remote'], 'is not local or remote').default('local'),
  'max-rate': text.optional(),
  'max-rate-base': text.optional(),
  delay: text.optional(),
  control: text.optional(),
  once: onOff.default(false),
  'log-level': z.enum(['debug', 'info', 'warn', 'error'], 'is not debug, info, warn or error').default('info'),
  check: onOff.default(false),
  dr: onOff.default(false),
  note: text.optional(),
  at: texts,
  before: text.optional(),
  without: list.optional(),
  'without-command': list.optional(),
  to: text.optional(),
  keys: texts,
  'keys-from': text.optional(),
  exclude: texts,
  db: texts,
  type: texts,
  rename: texts,
  'count-expired': onOff.default(false),
  'delete-absent': onOff.default(false),
  'only-missing': onOff.default(false),
  'server-bin': text.optional(),
  'scratch-dir': text.optional(),
  'scratch-memory': text.optional(),
  'accept-uncertainty': onOff.default(false),
  'dry-run': onOff.default(false),
  replace: onOff.default(false),
  yes: onOff.default(false),
  method: z.enum(['replicaof', 'restore'], 'is not replicaof or restore').optional(),
  'feed-address': text.optional(),
  'i-know-this-is-live': text.optional(),
  'target-memory': text.optional(),
  'target-user': text.optional(),
  'target-password-file': text.optional(),
  'target-tls-ca': text.optional(),
  'target-tls-cert': text.optional(),
  'target-tls-key': text.optional(),
  'target-tls-server-name': text.optional(),
  'target-tls-insecure': onOff.default(false),
  from: text.optional(),
  after: text.optional(),
  format: z.enum(['jsonl', 'resp', 'aof', 'csv'], 'is not jsonl, resp, aof or csv').default('jsonl'),
  key: texts,
  command: list.optional(),
  destructive: onOff.default(false),
  limit: text.optional(),
  out: text.optional(),
  values: onOff.default(false),
  raw: onOff.default(false),
  owner: text.optional(),
  timezone: text.optional(),
});

export type Settings = Readonly<z.infer<typeof settingsSchema>>;
export type SettingKey = keyof Settings;
export type LogLevel = Settings['log-level'];
export type AckMode = Settings['ack'];

export const settings: Readonly<Record<SettingKey, Setting>> = {
  dir: { value: 'DIR', help: 'the journal directory', fallback: './journal-data', isPath: true },
  name: { value: 'NAME', help: 'the source in it', fallback: 'the only one; for run, made of the address' },
  json: {
    value: undefined,
    help: 'print JSON instead of text, errors too: one document, or one a line where rows may be many',
  },
  quiet: { value: undefined, help: 'no progress and no notes' },
  'no-color': { value: undefined, help: 'no colors (NO_COLOR works too)' },
  source: {
    value: 'URL',
    help: 'the primary: redis://[user@]host:port, rediss:// for TLS; several times (in a variable: with commas) for all servers that may be the primary',
    isList: 'joined',
  },
  user: { value: 'NAME', help: 'ACL user to log in as', fallback: 'the user in the URL, else the default user' },
  'password-file': {
    value: 'FILE',
    help: 'file that holds the password; JOURNAL_PASSWORD holds it itself',
    isPath: true,
  },
  'tls-ca': {
    value: 'FILE',
    help: 'PEM of the authorities to trust',
    fallback: 'the authorities that come with Node',
    isPath: true,
  },
  'tls-cert': { value: 'FILE', help: 'PEM of the client certificate', isPath: true },
  'tls-key': { value: 'FILE', help: "PEM of the client certificate's key", isPath: true },
  'tls-server-name': { value: 'NAME', help: "the name in the primary's certificate", fallback: 'the host' },
  'tls-insecure': {
    value: undefined,
    help: 'do not verify the certificate: anyone on the way can read and change data',
  },
  'relative-ttl': {
    value: 'refuse|convert',
    help: 'for primaries up to Redis 6.2, whose stream holds relative TTLs: refuse them, or convert at restore',
    fallback: 'refuse',
  },
  ttl: {
    value: 'keep|as-of|shift|persist',
    help: 'what becomes of keys and hash fields that expire (see TTLs)',
    fallback: 'keep',
  },
  'keep-local': {
    value: 'DURATION|SIZE',
    help: 'remove the oldest history beyond this, such as 7d, 36h, 200GB: whole timelines, never the newest',
    fallback: 'keep everything',
  },
  listen: {
    value: '[HOST:]PORT',
    help: 'feed replicas here: REPLICAOF to this port gets the dataset and the stream of the primary',
    fallback: 'nobody is fed; without HOST, replicas of this machine only',
  },
  'listen-password-file': {
    value: 'FILE',
    help: 'file that holds the password of these replicas (their masterauth); JOURNAL_LISTEN_PASSWORD holds it itself',
    isPath: true,
  },
  'listen-user': {
    value: 'NAME=FILE',
    help: 'a further user (masteruser), and the file that holds the password; several times',
    fallback: 'the default user only',
    isList: 'apart',
  },
  'listen-tls-cert': {
    value: 'FILE',
    help: 'PEM of our certificate: replicas come with TLS (tls-replication yes)',
    isPath: true,
  },
  'listen-tls-key': { value: 'FILE', help: 'PEM of its key', isPath: true },
  'listen-tls-ca': {
    value: 'FILE',
    help: 'PEM of the authorities of replicas: each must have a certificate of theirs',
    fallback: 'none is asked for',
    isPath: true,
  },
  announce: {
    value: '[HOST:]PORT',
    help: 'tell the primary where replicas and Sentinel reach --listen; HOST where it is not where we connect from',
    fallback: 'nothing is told, Sentinel cannot reach us',
  },
  delay: {
    value: 'DURATION',
    help: 'serve all of it, but so much later: 90s, 15m, 2h, 1d (see Delayed copies)',
    fallback: 'at once',
  },
  control: {
    value: 'PATH',
    help: 'the Unix socket at which a delayed copy is paused and resumed',
    fallback: 'delayed.sock in the folder of the source',
    isPath: true,
  },
  ack: {
    value: 'local|remote',
    help: 'acknowledge to the primary what is durable here, or only what is durable at a journal that follows us, too',
    fallback: 'local',
  },
  'max-rate': {
    value: 'SIZE',
    help: 'bytes a second to journals that follow us, all together, as compressed: 5MB',
    fallback: 'as fast as it goes',
  },
  'max-rate-base': {
    value: 'SIZE',
    help: 'the same for the base of a full sync, which would take the line from the stream',
    fallback: 'as fast as it goes',
  },
  once: { value: undefined, help: 'stop when all that the primary had at the start is journaled' },
  'log-level': { value: 'debug|info|warn|error', help: 'how much is logged', fallback: 'info' },
  check: { value: undefined, help: 'exit 1 unless everything asked about is healthy' },
  dr: { value: undefined, help: 'what a switch-over to this site (disaster recovery) would lose' },
  note: { value: 'TEXT', help: 'words to remember it by' },
  at: { value: 'TARGET', help: 'restore everything up to and including this (see Targets)', isList: 'apart' },
  before: { value: 'TARGET', help: 'restore everything before this' },
  without: {
    value: 'POSITION',
    help: 'leave out the command that this byte belongs to, replay all others; several times',
    isList: 'joined',
  },
  'without-command': {
    value: 'NAME',
    help: 'leave out every command of this name, such as FLUSHALL; several times',
    isList: 'joined',
  },
  to: {
    value: 'OUT',
    help: 'directory to make (it must not exist, or be empty), rdb:FILE (it must not exist), resp:- for commands on standard output, or redis[s]://[user@]host:port, a running server',
    isPath: true,
  },
  keys: {
    value: 'GLOB',
    help: 'restore only keys such as user:* (a glob as KEYS takes it); several times: of any of them',
    fallback: 'all',
    isList: 'apart',
  },
  'keys-from': {
    value: 'FILE',
    help: 'restore the keys that FILE lists by their names (- is standard input), one a line as they are printed, beside those of --keys',
    isPath: true,
  },
  exclude: { value: 'GLOB', help: 'leave such keys out; several times', isList: 'apart' },
  db: { value: 'N', help: 'restore only keys of this db; several times', fallback: 'all', isList: 'apart' },
  type: {
    value: 'string|list|set|zset|hash|stream',
    help: 'restore only keys of this type; several times: of any of them',
    fallback: 'all',
    isList: 'apart',
  },
  rename: {
    value: 's/old/new/',
    help: 'give restored keys another name, as sed does with lines; several times: one after the other',
    isList: 'apart',
  },
  'count-expired': {
    value: undefined,
    help: 'count keys and hash fields whose time has passed, by a scratch server where it takes one',
    fallback: 'counted where a scratch server is needed anyway',
  },
  'delete-absent': {
    value: undefined,
    help: 'in a running server, delete the selected keys that were not there at T',
    fallback: 'they stay',
  },
  'only-missing': {
    value: undefined,
    help: 'into a running server, write only keys that are not there, and leave all that is there alone',
  },
  'server-bin': {
    value: 'FILE',
    help: 'the redis-server or valkey-server to use where a restore needs one',
    fallback: 'the first on PATH that can load the dataset',
    isPath: true,
  },
  'scratch-dir': {
    value: 'DIR',
    help: 'where that server works, in a private directory of its own',
    fallback: 'beside OUT; for resp:- the temporary directory',
    isPath: true,
  },
  'scratch-memory': {
    value: 'SIZE',
    help: 'memory that it may take, such as 8GB',
    fallback: 'what is free, which must be 1.3 times what the source used',
  },
  'accept-uncertainty': {
    value: undefined,
    help: 'of a time that is uncertain, take the earliest state that it may mean',
  },
  'dry-run': { value: undefined, help: 'print the plan and write nothing' },
  replace: { value: undefined, help: 'all that the server holds may go', fallback: 'it must be empty' },
  yes: { value: undefined, help: 'do not ask before a running server is changed' },
  method: {
    value: 'replicaof|restore',
    help: 'how a running server takes it over: as a replica of ours that is promoted, or key by key',
    fallback: 'replicaof where that is possible',
  },
  'feed-address': {
    value: 'HOST:PORT',
    help: 'for replicaof: where the server reaches this machine, unencrypted',
    fallback: 'loopback, for a server on it',
  },
  'i-know-this-is-live': {
    value: 'HOST:PORT',
    help: 'repeats the address of a server that is the live primary, or has replicas',
  },
  'target-memory': {
    value: 'SIZE',
    help: 'memory that a running server (each primary of a cluster) may come to use, such as 8GB',
    fallback: 'its maxmemory, else what its machine has',
  },
  'target-user': { value: 'NAME', help: 'ACL user to log in there as', fallback: 'the user in the URL' },
  'target-password-file': {
    value: 'FILE',
    help: 'file that holds its password; JOURNAL_TARGET_PASSWORD holds it itself',
    isPath: true,
  },
  'target-tls-ca': { value: 'FILE', help: 'for rediss://: like --tls-ca', isPath: true },
  'target-tls-cert': { value: 'FILE', help: 'PEM of the client certificate', isPath: true },
  'target-tls-key': { value: 'FILE', help: "PEM of the client certificate's key", isPath: true },
  'target-tls-server-name': { value: 'NAME', help: 'the name in its certificate', fallback: 'the host' },
  'target-tls-insecure': { value: undefined, help: 'do not verify its certificate' },
  from: {
    value: 'TARGET',
    help: 'begin with the first command of this time, or with the command at this position (see Targets)',
    fallback: 'the oldest that is journaled',
  },
  after: {
    value: 'POSITION',
    help: 'begin right behind the command at this position, to go on with what was broken off',
  },
  format: { value: 'jsonl|resp|aof|csv', help: 'what to write (see Formats)', fallback: 'jsonl' },
  key: {
    value: 'GLOB',
    help: 'only commands that touch such a key (a glob as KEYS takes it, in every place of a key); several times: any of them',
    fallback: 'all',
    isList: 'apart',
  },
  command: {
    value: 'NAME',
    help: 'only commands of this name, such as DEL or FLUSH*; several times, or with commas',
    fallback: 'all but PING, REPLCONF, SELECT, MULTI, EXEC',
    isList: 'joined',
  },
  destructive: {
    value: undefined,
    help: 'only what destroyed much at once (flushes, bursts of removals …), each with the restore line for the moment before',
  },
  limit: { value: 'N', help: 'stop after so many', fallback: 'all' },
  out: {
    value: 'FILE',
    help: 'a file that is not there yet, which appears when it is complete',
    fallback: 'standard output',
  },
  values: {
    value: undefined,
    help: 'print all arguments, each up to 1 MB',
    fallback: 'the beginnings of the first ones',
  },
  raw: { value: undefined, help: 'print the commands as RESP, byte for byte, with SELECT where the db changes' },
  owner: { value: 'USER[:GROUP]', help: 'who shall own the restored files', fallback: 'you' },
  timezone: {
    value: 'ZONE',
    help: 'the zone of times that name none, such as Europe/Madrid',
    fallback: 'none, such times are refused',
  },
};

export const settingKeys: readonly SettingKey[] = Object.keys(settings) as SettingKey[];

/** `tls-ca` is JOURNAL_TLS_CA. */
export function environmentName(key: SettingKey | 'config'): string {
  return `JOURNAL_${key.toUpperCase().replaceAll('-', '_')}`;
}

// generate-command-table: writes src/redis/command-table.ts out of what COMMAND says on every server of this machine.
// To be run when a new release is to be known:
//   JOURNAL_TEST_SERVERS=/folder/of/servers node test/support/generate-command-table.ts
// Key specifications came with Redis 7.0; what only an older server knows is taken from its first, last and step. Where
// releases differ, all that they say holds: a key too many is harmless, one too few is not.
import { writeFileSync } from 'node:fs';
import { RedisServer } from './redis-server.ts';
import { type Reply, replyList, replyMap, replyNumber, replyText } from './resp-client.ts';
import { availableServers, serverLabel } from './servers.ts';

interface Row {
  isWrite: boolean;
  /** Access by place. */
  readonly specs: Map<string, string>;
}

const output = new URL('../../src/redis/command-table.ts', import.meta.url);
const rows = new Map<string, Row>();
const labels: string[] = [];
const accesses = ['RO', 'RW', 'OW', 'RM'];

for (const binary of availableServers().toReversed()) {
  await using server = await RedisServer.start(binary);
  await using client = await server.connect();
  labels.unshift(serverLabel(binary));
  for (const command of replyList(await client.call('COMMAND'))) addCommand(command);
}
writeFileSync(output, fileText());

function addCommand(command: Reply): void {
  const [name, , flagList, first, last, step, , , specList, subcommands] = replyList(command);
  const flags = replyList(flagList).map(replyText);
  const specs = specList === undefined ? undefined : replyList(specList).map(specText);
  const legacy = (): string[] =>
    replyNumber(first) === 0 ? [] : [legacyText(replyNumber(first), replyNumber(last), replyNumber(step))];
  add(replyText(name).toUpperCase(), flags.includes('write'), specs, legacy());
  for (const subcommand of replyList(subcommands ?? [])) addCommand(subcommand);
}

/** What newer servers say of a command is more exact than the legacy three numbers. */
function add(name: string, isWrite: boolean, specs: readonly string[] | undefined, legacy: readonly string[]): void {
  const known = rows.get(name);
  const row = known ?? { isWrite, specs: new Map<string, string>() };
  rows.set(name, row);
  row.isWrite ||= isWrite;
  for (const spec of specs ?? (known === undefined ? legacy : [])) {
    const [access = '', place = ''] = spec.split('@');
    if (place === '') continue;
    const other = row.specs.get(place);
    row.specs.set(place, other === undefined || other === access ? access : 'rw');
  }
}

/** Empty for channels, which are no keys. */
function specText(spec: Reply): string {
  const fields = replyMap(spec);
  const flags = replyList(fields.get('flags')).map(replyText);
  if (flags.includes('not_key')) return '';
  const access = accesses.find((one) => flags.includes(one))?.toLowerCase() ?? 'rw';
  return `${access}@${beginText(replyMap(fields.get('begin_search')))}${findText(replyMap(fields.get('find_keys')))}`;
}

function beginText(begin: ReadonlyMap<string, Reply>): string {
  const type = replyText(begin.get('type'));
  if (type === 'unknown') return '?';
  const spec = replyMap(begin.get('spec'));
  if (type === 'index') return replyText(spec.get('index'));
  return `${replyText(spec.get('keyword')).toUpperCase()}>${replyText(spec.get('startfrom'))}`;
}

function findText(find: ReadonlyMap<string, Reply>): string {
  const type = replyText(find.get('type'));
  if (type === 'unknown') return '';
  const spec = replyMap(find.get('spec'));
  const step = replyNumber(spec.get('keystep'));
  if (type === 'keynum') {
    return `#${replyText(spec.get('keynumidx'))}+${replyText(spec.get('firstkey'))}${stepText(step)}`;
  }
  const last = replyNumber(spec.get('lastkey'));
  const limit = replyNumber(spec.get('limit'));
  return `${last === 0 ? '' : `..${last}`}${stepText(step)}${limit > 1 ? `%${limit}` : ''}`;
}

function legacyText(first: number, last: number, step: number): string {
  const relative = last < 0 ? last : last - first;
  return `rw@${first}${relative === 0 ? '' : `..${relative}`}${stepText(step)}`;
}

function stepText(step: number): string {
  return step <= 1 ? '' : `/${step}`;
}

function fileText(): string {
  // A subcommand that does nothing to keys is as good as its container.
  const told = [...rows].filter(([name, { isWrite, specs }]) => !name.includes('|') || isWrite || specs.size > 0);
  const lines = told.map(([name, { isWrite, specs }]) =>
    [name, isWrite ? 'write' : 'read', ...[...specs].map(([place, access]) => `${access}@${place}`)].join(' '),
  );
  return `/**
 * What the commands of real servers do with which of their arguments: what COMMAND says on
 * ${labels.join(', ')}.
 *
 * Made by test/support/generate-command-table.ts, not to be edited. command-keys.ts reads it, and says what it means.
 */
export const commandTable = \`
${lines.sort().join('\n')}
\`;
`;
}

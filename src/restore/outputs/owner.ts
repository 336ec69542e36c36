/**
 * USER[:GROUP] as `chown` takes it: names out of the system's own tables, or numbers. A name without a group brings the
 * user's own, since a server is started as both. Users of a directory service are in no table here: they are given by
 * number.
 */
import { UsageError } from '../../core/errors.ts';
import type { Disk } from '../../storage/disk.ts';
import { readSmall } from '../../storage/publish.ts';
import { quote } from '../locate/instant.ts';

export interface Owner {
  readonly user: number;
  /** Undefined: the group stays as it is. */
  readonly group: number | undefined;
}

const passwdPath = '/etc/passwd';
const groupPath = '/etc/group';
/** 2^32 − 1 stands for "leave it" and names nobody. */
const idMax = 2 ** 32 - 2;

export async function resolveOwner(disk: Disk, text: string): Promise<Owner> {
  const [userText = '', groupText, ...rest] = text.split(':');
  if (userText === '' || groupText === '' || rest.length > 0) {
    throw new UsageError('bad-owner', `not an owner: ${quote(text)}`, { hint: 'write USER or USER:GROUP' });
  }
  // name:password:uid:gid:…
  const users = await readTable(disk, passwdPath);
  const number = parseId(userText);
  const entry = users.find(([name, , id]) => (number === undefined ? name === userText : Number(id) === number));
  const user = number ?? parseId(entry?.[2] ?? '');
  if (user === undefined) throw unknown('user', userText, 'u');
  if (groupText === undefined) return { user, group: parseId(entry?.[3] ?? '') };
  // name:password:gid:…
  const groups = await readTable(disk, groupPath);
  const group = parseId(groupText) ?? parseId(groups.find(([name]) => name === groupText)?.[2] ?? '');
  if (group === undefined) throw unknown('group', groupText, 'g');
  return { user, group };
}

async function readTable(disk: Disk, path: string): Promise<string[][]> {
  if ((await disk.size(path)) === undefined) return [];
  const text = (await readSmall(disk, path)).toString('utf8');
  return text.split('\n').map((line) => line.split(':'));
}

function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= idMax ? id : undefined;
}

function unknown(what: string, name: string, flag: string): UsageError {
  return new UsageError('unknown-owner', `this machine knows no ${what} ${quote(name)}`, {
    hint: `give its number, which is what id -${flag} prints where it is known`,
  });
}

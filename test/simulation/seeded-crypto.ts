// What src takes from node:crypto by chance, out of a seed: salts and unique names, which would make two runs of one
// seed differ in their bytes. The tests put it in the place of node:crypto.
import { Random } from '../support/random.ts';

let random = new Random(0);

export function seedCrypto(seed: number): void {
  random = new Random(seed);
}

export function randomBytes(length: number): Buffer {
  return random.bytes(length);
}

export function randomInt(from: number, to: number): number {
  return random.between(from, to - 1);
}

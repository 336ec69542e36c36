/**
 * The bounds of the format (SPEC.md 13). Every decoder checks a length against these before it allocates or reads
 * anything; every encoder refuses to write what no reader would accept.
 */

/** Largest offset, stamp or other 64-bit number that version 1 writes or accepts. */
export const integerMax: number = Number.MAX_SAFE_INTEGER;
export const uint32Max = 0xffff_ffff;

export const documentBodyBytesMax: number = 64 * 1024 * 1024;
/** Maps and arrays inside each other, the body itself included. */
export const documentDepthMax = 8;

export const frameMetaBytesMax: number = 1024 * 1024;
export const frameDataBytesMax: number = 8 * 1024 * 1024;

export const blockRawBytesMax: number = 16 * 1024 * 1024;
/** What zstd makes of blockRawBytesMax that do not compress stays well below this. */
export const blockStoredBytesMax: number = 17 * 1024 * 1024;

export const idEntriesMax = 4096;
export const markNameCharactersMax = 128;

/** A command's name in a filters document, and how many of them there. */
export const commandNameBytesMax = 64;
export const commandNamesMax = 4096;
export const keyFilterSlotsMax: number = 1024 * 1024;
export const keyFilterWindowBitsMax = 16;

/**
 * Every bound of the program in one place; those of the format are in journal-format/limits.ts. What bounds bytes from the
 * wire is far above what a real server sends, and small enough that a hostile one cannot hurt. Units last in each name.
 */

/**
 * A socket is paused when this much is waiting for the disk, and resumed at half of it: what comes at full speed while a
 * sync takes its 10 ms. Smaller, and reading stops for many of them.
 */
export const queueBytesMax = 8 * 1024 * 1024;

/** Size of one receive slab, and the least room that a read is offered. */
export const slabBytes = 512 * 1024;
export const slabReadRoomBytes = 64 * 1024;
/**
 * Slabs that stay allocated: all that a full queue takes, since none is filled to its end, and those before and behind
 * it. Were it fewer, each flood would allocate and zero memory again and again.
 */
export const slabsKept: number = (2 * queueBytesMax) / slabBytes;

/** Longest reply line of a primary during the handshake; real ones stay below 200 bytes. */
export const replyLineBytesMax = 64 * 1024;

/** Largest bulk string and argument count that the boundary scanner accepts as sane. */
export const bulkBytesMax = 4 * 1024 * 1024 * 1024;
export const argumentCountMax = 64 * 1024 * 1024;

/** A segment is rotated at the first boundary beyond either of these. */
export const segmentBytesMax = 64 * 1024 * 1024;
export const segmentSecondsMax = 60;

/** Segments are sealed when none came for this long: those that come faster are a burst, which is over then. */
export const sealRestMs = 1000;

/** A burst that is longer than this is sealed while it goes on. 1 GiB of open segments. */
export const sealBurstSegments = 16;

/** More than this wait only where sealing in the background cannot keep up: it gets capture's priority. 3 GiB. */
export const sealCatchUpSegments = 48;

/**
 * A command, with its MULTI, of which more than this has come without its end is told of: the segment that it keeps from
 * being cut is twice as large as any other by then. Real ones are smaller, but for values of hundreds of megabytes.
 */
export const unendedBytesTold: number = 2 * segmentBytesMax;

/** Arrivals wait at most this long for company before they are written and synced. */
export const commitDelayMs = 5;
/** This much does not wait at all. */
export const commitBytesSoon = 512 * 1024;

/**
 * Kept free for the last words of a journal on a full disk (storage/reserve.ts): more than can be waiting for the disk.
 */
export const reserveBytes = 16 * 1024 * 1024;

/**
 * Of the file system of a journal: with less, status warns, and what only delayed copies need of the journal is removed if
 * --keep-local asks for it.
 */
export const freeBytesLow: number = 1024 * 1024 * 1024;

/** A cache or settings file that is larger than this is not read. */
export const smallFileBytesMax = 16 * 1024 * 1024;

/** One reply of a side connection or of the handshake, everything in it counted. INFO of a large server is some 10 KB. */
export const replyBytesMax = 1024 * 1024;
/** EXEC around ROLE: the results, ROLE, its list of replicas, one replica. */
export const replyDepthMax = 4;

/** Magic and leading AUX fields of an RDB; real ones take a few hundred bytes. */
export const rdbHeadBytesMax = 1024 * 1024;

/** Decoded blocks that readers of one process share: one of 1 MiB for each of 20 feeds, and what they left a moment ago. */
export const blockCacheBytesMax: number = 32 * 1024 * 1024;

/** What a command read for inspection may keep of one argument, and of all of them together: 32,000 short ones. */
export const keptArgumentBytesDefault = 64 * 1024;
export const keptCommandBytesMax: number = 8 * 1024 * 1024;

/**
 * The same where only its keys are asked for, while it is sealed: a longer key, or one of more than fit, is not told from
 * others, so that its block may hold any.
 */
export const collectedArgumentBytesMax = 1024;
export const collectedBytesMax: number = 4 * 1024 * 1024;

/** More keys than this in a block are not told apart; one of 1 MiB holds 120,000 at most. Names likewise. */
export const keySetKeysMax: number = 256 * 1024;
export const blockNamesMax = 1024;
/** Of the filters of a segment: what would go beyond may be anything. Segments of 64 MiB have 9 MB of them at most. */
export const filtersBytesMax: number = 16 * 1024 * 1024;

/** What a replica that we feed may ask: real ones send five arguments, some hundred bytes. */
export const requestArgumentsMax = 16;
export const requestBytesMax = 16 * 1024;

/** Of a restore that leaves commands out: stretches of the stream, keys noted of what they wrote, commands told of. */
export const undoStretchesMax = 1_000_000;
export const undoKeysMax = 1_000_000;
export const undoToldMax = 20;

/** A hash with expiring fields is held whole when a restore gives it other expiries: its value in an RDB. */
export const hashHeldBytesMax: number = 1024 * 1024 * 1024;

/** Of a value that is looked into, encoded: of a larger one only whether it is the same can be told. */
export const entryValueBytesMax: number = 64 * 1024 * 1024;

/** Of a value that is told, encoded; of a larger one only how large it is. */
export const probedValueBytesMax: number = 512 * 1024 * 1024;

/** A list of names of keys, as text: a million of 64 characters, which take twice that. */
export const keysFromBytesMax: number = 64 * 1024 * 1024;

/** Of a restore of some keys: others that they are connected with by commands, in 16 MiB. */
export const neededLinksMax = 1_000_000;
/** Of its stream, no more is held of a command before it is passed on. */
export const neededCommandBytesMax: number = 1024 * 1024;
/** Names of the keys that came along, which are to be removed again: more than these are noted twice. */
export const cameAlongBytesMax: number = 8 * 1024 * 1024;

/** Names of the keys that a restore with --ttl cannot tell yet not to have elapsed, with what they take besides. */
export const elapsedKeysBytesMax: number = 64 * 1024 * 1024;

/** Of an argument that a search prints, with --values. */
export const printedArgumentBytesMax: number = 1024 * 1024;

/** Fewer keys that are removed within a second are no burst. */
export const burstKeysLeast = 10;
/** Of keys that were given little time to live in one burst, as many are known again: 16 MiB. */
export const doomedKeysMax = 262_144;

/** The newest stream bytes are held in memory for feeds that are up to date: a tenth of a second of a flood. */
export const liveTailBytesMax: number = 8 * 1024 * 1024;
/** Of a feed: what its socket may hold; and of another client's replies, beyond which it is cut off. */
export const feedSocketBytesMax: number = 1024 * 1024;
/** PINGs of our own are put into a served history at so many places at most; then another one is begun. */
export const delayedPingRunsMax = 4096;
/** Of a due boundary, frames that are looked at in one go: ten seconds of a flood. */
export const dueFramesMax = 2000;
/** A request to a delayed copy, or its answer, is one line; and so many may be asking. */
export const controlLineBytesMax: number = 64 * 1024;
export const controlClientsMax = 16;
/** Clients of a listener, and those among them that have not said who they are. */
export const clientsMax = 1000;
export const strangersMax = 100;

/** A body on the link between journals, sent or uncompressed: the largest frame of the format, with its meta, fits. */
export const linkBodyBytesMax: number = 10 * 1024 * 1024;
/** So much is compressed at once where the stream is fast, or the link slow; an idle one sends what there is. */
export const linkChunkBytes: number = 1024 * 1024;

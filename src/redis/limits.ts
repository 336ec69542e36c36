/**
 * Bounds that only the protocol knows; those shared with the rest of the program are in core/limits.ts. They are far
 * above what a real server sends and small enough that a hostile one cannot hurt. Units last in each name.
 */

/** One reply of a side connection or of the handshake, everything in it counted. INFO of a large server is some 10 KB. */
export const replyBytesMax = 1024 * 1024;
/** EXEC around ROLE: the results, ROLE, its list of replicas, one replica. */
export const replyDepthMax = 4;

/** Magic and leading AUX fields of an RDB; real ones take a few hundred bytes. */
export const rdbHeadBytesMax = 1024 * 1024;

/** What a command read for inspection may keep of one argument, and of all of them together. */
export const keptArgumentBytesDefault = 64 * 1024;
export const keptCommandBytesMax = 64 * 1024 * 1024;

/**
 * What is served: a contract with several implementations, for a journal that this process writes, one that another writes
 * or nobody, and a moment of one. Everything in this folder sees a journal through it.
 */
import type { IdEntry } from '../../journal-format/fields.ts';
import type { Micros } from '../core/clock.ts';
import type { Offset } from '../core/position.ts';
import type { BaseEntry } from '../log/catalog.ts';
import type { LinkState } from '../redis/link-state.ts';
import type { ServerVersion } from '../redis/server-version.ts';

/** The timeline that the source's history goes on in: only it can be followed. */
export interface ServedTimeline {
  readonly number: number;
  readonly directory: string;
  readonly base: BaseEntry;
  /** The names that the history has had, oldest first, each with the first byte that came under it. */
  readonly ids: readonly IdEntry[];
  /** No byte behind this is served: it may yet be lost. */
  readonly durable: Offset;
  /** Set where id and numbering are our own: every offset here counts the PINGs that are put in before it. */
  readonly own?: OwnNumbering | undefined;
}

/** PINGs: `count` of them right behind this byte of the journal, which ends a command. */
export interface PingRun {
  readonly behind: Offset;
  readonly count: number;
}

export type OwnTimeline = ServedTimeline & { readonly own: OwnNumbering };

export interface OwnNumbering {
  /** In order. */
  readonly pings: readonly PingRun[];
  /** How many names the journal's history has had. */
  readonly names: number;
  /** Undefined: what expires does so when it did in the journal. */
  readonly shift?: Shift | undefined;
}

/** What expires does so later, and no byte has another number for it. */
export interface Shift {
  readonly laterByMs: number;
  /** What the base's RDB comes to. */
  readonly baseBytes: number;
  /** For the stream of the journal behind this boundary. Handed in: what commands hold times is known elsewhere. */
  readonly stream: (boundary: Offset) => StreamChange;
}

/** Takes stream bytes, which are its own then, and gives as many others back, some of them with a later call; none is kept behind a boundary. */
export interface StreamChange {
  push(bytes: Buffer): readonly Buffer[];
  /** To be called when what push() returned was taken over, and what was pushed may go. */
  letGo(): void;
}

/** The server that the journal follows. */
export interface UpstreamState {
  /** All addresses that it may have: nobody can send us elsewhere. None where it is not we who follow it. */
  readonly sources: readonly { readonly host: string; readonly port: number }[];
  readonly host: string;
  readonly port: number;
  /** Its stream comes in. */
  readonly isUp: boolean;
  /** By the monotonic clock: when the last byte came, or the link was lost. */
  readonly since: Micros;
  /** Whose commands and RDBs these are, for those who ask us; undefined until it is known. */
  readonly server: ServerVersion | undefined;
}

/** What a journal that follows us is told besides the stream. */
export type LinkStanding = Omit<LinkState, 'durable'>;

export interface History {
  /** Undefined as long as there is no base. */
  now(): ServedTimeline | undefined;
  upstream(): UpstreamState;
  /** Absent: other journals get no more than the plain protocol, for the numbering is not the source's. */
  linkStanding?(): LinkStanding;
  /** Calls back whenever now() may be another; the result ends that. */
  watch(changed: () => void): () => void;
}

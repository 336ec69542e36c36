/*
 * The side of a primary that answers: what any replica asks before its full sync, and the acknowledgements after it.
 * link.c knows the protocol; whoever includes this (firehose.c) decides what is sent behind PSYNC.
 */
#ifndef LINK_H
#define LINK_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLICATION_ID "f1e40c5e00000000000000000000000000000001"

struct primary {
    /* Where the stream stands: ahead of what is sent, as a primary's is. */
    _Atomic uint64_t offset;
    /* PSYNC came on this socket: everything written to it from now on is the callee's, on a thread of its own. */
    void (*attached)(int fd);
    /* REPLCONF ACK came on that socket. */
    void (*acknowledged)(uint64_t claimed);
    /* That socket was closed, or silent for too long. */
    void (*left)(void);
};

/* Prints why and ends the process. */
void die(const char *what);

/* False when the other side is gone. */
bool write_all(int fd, const void *data, size_t length);

/* Listens on 127.0.0.1; port 0 takes a free one. Returns the socket and sets the port. */
int listen_on(uint16_t *port);

/* Serves every connection on a thread of its own; never returns. One of them may PSYNC. */
void serve_links(int listener, struct primary *primary);

#endif

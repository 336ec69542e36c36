/*
 * The yardstick of the ingest benchmark: the least that a program must do to take a replication stream, keep it, and
 * acknowledge what is durable. One thread recv()s and write()s; a second calls fdatasync() every 10 ms and then sends
 * REPLCONF ACK of what had been written before the call. No checksums, no boundaries, no time, no index.
 *
 * Usage: receiver HOST PORT FILE BYTES       ends when BYTES of stream are durable and acknowledged, and prints one
 *                                            JSON line: {"bytes", "seconds", "mbPerSecond", "syncs"}.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (1024 * 1024)
#define SYNC_PERIOD_NS 10000000
#define ACK_PERIOD_NS 1000000000
#define MARK_BYTES 40

static char buffer[BUFFER_BYTES];
static int link_fd, file_fd;
static uint64_t start_offset, wanted;
static _Atomic uint64_t written;
static _Atomic uint64_t first_byte_at;
static uint64_t syncs;

static void die(const char *what)
{
    fprintf(stderr, "receiver: %s: %s\n", what, errno == 0 ? "closed" : strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the link -------------------------------------------------------------------------------------------------- */

static int connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *addresses;
    int yes = 1;
    if (getaddrinfo(host, port, &hints, &addresses) != 0) die("unknown address");
    for (struct addrinfo *a = addresses; a != NULL; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            freeaddrinfo(addresses);
            return fd;
        }
        if (fd >= 0) close(fd);
    }
    die("cannot connect");
    return -1;
}

static size_t receive(void *to, size_t room)
{
    for (;;) {
        errno = 0;
        ssize_t n = recv(link_fd, to, room, 0);
        if (n > 0) return (size_t)n;
        if (n == 0 || errno != EINTR) die("link");
    }
}

static void send_text(const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = send(link_fd, text, left, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("send");
        text += n;
        left -= (size_t)n;
    }
}

/* One line of the handshake, byte by byte so that nothing behind it is taken; empty lines are keep-alives. */
static void read_line(char *line, size_t room)
{
    size_t length = 0;
    do {
        receive(line + length, 1);
        if (line[length] == '\n' && length == 0) continue;
        if (++length == room) die("reply too long");
    } while (length == 0 || line[length - 1] != '\n');
    line[length] = '\0';
    if (line[0] == '-') {
        fprintf(stderr, "receiver: refused: %s", line);
        exit(1);
    }
}

static void handshake(void)
{
    char line[1024];
    send_text("*1\r\n$4\r\nPING\r\n");
    read_line(line, sizeof line);
    send_text("*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$1\r\n0\r\n");
    read_line(line, sizeof line);
    send_text("*5\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n$4\r\ncapa\r\n$6\r\npsync2\r\n");
    read_line(line, sizeof line);
    send_text("*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    read_line(line, sizeof line);
    if (sscanf(line, "+FULLRESYNC %*40s %" SCNu64, &start_offset) != 1) die("no full resync");
}

/* The RDB is dropped: the benchmark is about the stream. It comes with its length, or up to a mark of 40 bytes. */
static void skip_rdb(void)
{
    char line[1024], mark[MARK_BYTES], tail[MARK_BYTES];
    read_line(line, sizeof line);
    if (strncmp(line, "$EOF:", 5) != 0) {
        for (uint64_t left = strtoull(line + 1, NULL, 10); left > 0;) {
            left -= receive(buffer, left < BUFFER_BYTES ? left : BUFFER_BYTES);
        }
        return;
    }
    memcpy(mark, line + 5, MARK_BYTES);
    memset(tail, 0, MARK_BYTES);
    /* Nothing follows the mark before our first ACK, so it ends with a read. */
    while (memcmp(tail, mark, MARK_BYTES) != 0) {
        size_t n = receive(buffer, BUFFER_BYTES);
        size_t kept = n < MARK_BYTES ? MARK_BYTES - n : 0;
        memmove(tail, tail + MARK_BYTES - kept, kept);
        memcpy(tail + kept, buffer + n - (MARK_BYTES - kept), MARK_BYTES - kept);
    }
}

/* ---- the two threads ------------------------------------------------------------------------------------------- */

static void send_ack(uint64_t offset)
{
    char digits[24], ack[96];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, offset);
    snprintf(ack, sizeof ack, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$%d\r\n%s\r\n", length, digits);
    send_text(ack);
}

static void *keep_synced(void *unused)
{
    uint64_t durable = 0, due = now_ns(), ack_due = 0;
    (void)unused;
    while (durable < wanted) {
        uint64_t now = now_ns();
        due = due + SYNC_PERIOD_NS > now ? due + SYNC_PERIOD_NS : now;
        struct timespec until = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        uint64_t before = atomic_load(&written);
        /* Without news once a second: a primary that sends without a length awaits an ACK, and may miss the first. */
        if (before == durable && now < ack_due) continue;
        if (before != durable && fdatasync(file_fd) != 0) die("fdatasync");
        syncs += before != durable;
        durable = before;
        send_ack(start_offset + durable);
        ack_due = now + ACK_PERIOD_NS;
    }
    return NULL;
}

static void write_all(const char *at, size_t length)
{
    while (length > 0) {
        ssize_t n = write(file_fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("write");
        at += n;
        length -= (size_t)n;
    }
}

static void keep_stream(void)
{
    uint64_t received = 0;
    while (received < wanted) {
        size_t n = receive(buffer, BUFFER_BYTES);
        if (received == 0) atomic_store(&first_byte_at, now_ns());
        write_all(buffer, n);
        received += n;
        atomic_store(&written, received);
    }
}

int main(int argc, char **argv)
{
    pthread_t syncer;
    if (argc != 5) {
        fprintf(stderr, "usage: receiver HOST PORT FILE BYTES\n");
        return 2;
    }
    wanted = strtoull(argv[4], NULL, 10);
    file_fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file_fd < 0) die("cannot create the file");
    link_fd = connect_to(argv[1], argv[2]);
    handshake();
    skip_rdb();
    if (pthread_create(&syncer, NULL, keep_synced, NULL) != 0) die("thread");
    keep_stream();
    pthread_join(syncer, NULL);
    double seconds = (double)(now_ns() - atomic_load(&first_byte_at)) / 1e9;
    double mb = (double)atomic_load(&written) / 1e6;
    printf("{\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"mbPerSecond\":%.1f,\"syncs\":%" PRIu64 "}\n",
           atomic_load(&written), seconds, mb / seconds, syncs);
    return 0;
}

/*
 * A primary that does nothing but send: the source of the ingest benchmark. It answers what a replica asks before its
 * full sync, sends an empty RDB, and then a fixed plan of stream bytes as fast as the socket takes them: SELECT 0, as
 * many 144-byte SETs (16-byte key, 100-byte value) as fit into BYTES, and one REPLCONF GETACK, so that nobody's own
 * acknowledgement timer is measured. The stream is one prebuilt block, repeated: the cores are shared with the program
 * under test, so sending must cost as little as it can (plain send() costs less than sendfile() here: measured).
 *
 * Usage: firehose BYTES [PORT]        prints one JSON line when it listens, one when the last SET is acknowledged, and
 *                                     ends when that link closes or has been silent for 60 seconds.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_BYTES 144
#define BLOCK_COMMANDS 29127 /* just below 4 MiB */
#define BLOCK_BYTES ((size_t)BLOCK_COMMANDS * COMMAND_BYTES)
#define VALUE_BYTES 100
#define SILENCE_SECONDS 60
#define ARGUMENTS_MAX 32
#define START_OFFSET 1000 /* not 0, so that an ACK of nothing is seen to be one */
#define REPLICATION_ID "f1e40c5e00000000000000000000000000000001"

static const char select_db[] = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
static const char get_ack[] = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

/* What will be sent; fixed before the first connection. */
static struct {
    uint64_t commands;
    uint64_t bytes; /* up to the last SET: what the result counts */
    char *block;    /* BLOCK_COMMANDS SETs */
} plan;

static _Atomic uint64_t offset = START_OFFSET; /* ahead of what is sent, as a primary's is */
static _Atomic uint64_t first_byte_at; /* nanoseconds, monotonic */
static _Atomic bool streaming;
static _Atomic bool acknowledged;

static void die(const char *what)
{
    fprintf(stderr, "firehose: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- the plan ------------------------------------------------------------------------------------------------- */

/* Values differ and don't repeat within a block: whoever compresses what arrives must not find it easier than life. */
static void fill_value(char *value, uint64_t *state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < VALUE_BYTES; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        value[i] = alphabet[*state >> 58];
    }
    value[VALUE_BYTES] = '\0';
}

static void make_plan(uint64_t bytes)
{
    uint64_t state = 20, lead = sizeof select_db - 1;
    char value[VALUE_BYTES + 1];
    plan.commands = bytes > lead ? (bytes - lead) / COMMAND_BYTES : 0;
    plan.bytes = lead + plan.commands * COMMAND_BYTES;
    plan.block = malloc(BLOCK_BYTES + 1); /* snprintf ends the last command with a zero */
    if (plan.block == NULL) die("no memory for the block");
    for (size_t key = 0; key < BLOCK_COMMANDS; key++) {
        fill_value(value, &state);
        int length = snprintf(plan.block + key * COMMAND_BYTES, COMMAND_BYTES + 1,
                              "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012zu\r\n$%d\r\n%s\r\n", key, VALUE_BYTES, value);
        if (length != COMMAND_BYTES) die("the block is not what was planned");
    }
}

/* ---- the RDB: no keys, but everything else that 7.0 writes ---------------------------------------------------- */

static uint64_t crc64(const uint8_t *data, size_t length)
{
    uint64_t crc = 0; /* Jones, reflected, as in Redis */
    for (size_t i = 0; i < length; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x95ac9329ac4bc9b5u : 0);
    }
    return crc;
}

static size_t put_aux(uint8_t *at, const char *name, const char *value)
{
    size_t name_length = strlen(name), value_length = strlen(value);
    at[0] = 0xfa;
    at[1] = (uint8_t)name_length;
    memcpy(at + 2, name, name_length);
    at[2 + name_length] = (uint8_t)value_length;
    memcpy(at + 3 + name_length, value, value_length);
    return 3 + name_length + value_length;
}

static size_t make_rdb(uint8_t *rdb)
{
    char created[24], start[24];
    snprintf(created, sizeof created, "%lld", (long long)time(NULL));
    snprintf(start, sizeof start, "%d", START_OFFSET);
    size_t length = 9;
    memcpy(rdb, "REDIS0010", length);
    length += put_aux(rdb + length, "redis-ver", "7.0.15");
    length += put_aux(rdb + length, "redis-bits", "64");
    length += put_aux(rdb + length, "ctime", created);
    length += put_aux(rdb + length, "used-mem", "1000000");
    length += put_aux(rdb + length, "repl-stream-db", "0");
    length += put_aux(rdb + length, "repl-id", REPLICATION_ID);
    length += put_aux(rdb + length, "repl-offset", start);
    length += put_aux(rdb + length, "aof-base", "0");
    rdb[length++] = 0xff;
    uint64_t crc = crc64(rdb, length);
    for (int i = 0; i < 8; i++) rdb[length++] = (uint8_t)(crc >> 8 * i);
    return length;
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

static bool send_all(int fd, const void *data, size_t length)
{
    for (const char *at = data; length > 0;) {
        ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

static bool send_commands(int fd, uint64_t length)
{
    while (length > 0) {
        size_t part = length < BLOCK_BYTES ? (size_t)length : BLOCK_BYTES;
        atomic_fetch_add(&offset, part);
        if (!send_all(fd, plan.block, part)) return false;
        length -= part;
    }
    return true;
}

static void *send_stream(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char lead[128];
    uint8_t rdb[512];
    size_t rdb_length = make_rdb(rdb);
    int lead_length =
        snprintf(lead, sizeof lead, "+FULLRESYNC %s %d\r\n$%zu\r\n", REPLICATION_ID, START_OFFSET, rdb_length);
    if (!send_all(fd, lead, (size_t)lead_length) || !send_all(fd, rdb, rdb_length)) return NULL;
    atomic_store(&first_byte_at, now_ns());
    atomic_fetch_add(&offset, sizeof select_db - 1);
    if (!send_all(fd, select_db, sizeof select_db - 1)) return NULL;
    if (!send_commands(fd, plan.commands * COMMAND_BYTES)) return NULL;
    atomic_fetch_add(&offset, sizeof get_ack - 1);
    send_all(fd, get_ack, sizeof get_ack - 1);
    return NULL;
}

/* ---- answering ------------------------------------------------------------------------------------------------- */

struct request {
    int count;
    struct {
        const char *at;
        size_t length;
    } argument[ARGUMENTS_MAX];
};

struct text {
    size_t length;
    char bytes[4096];
};

struct link {
    int fd;
    bool is_stream;
    int queued; /* commands since MULTI, or -1 */
    struct text transaction;
};

static void append(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof text->bytes - text->length;
    int n = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room) {
        fprintf(stderr, "firehose: a reply exceeds %zu bytes\n", sizeof text->bytes);
        exit(1);
    }
    text->length += (size_t)n;
}

static bool is(const struct request *request, int index, const char *word)
{
    return index < request->count && request->argument[index].length == strlen(word) &&
           strncasecmp(request->argument[index].at, word, strlen(word)) == 0;
}

static void append_info(struct text *reply)
{
    char info[512];
    int length = snprintf(info, sizeof info,
                          "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:%s\r\n"
                          "# Replication\r\nrole:master\r\nmaster_replid:%s\r\nmaster_repl_offset:%" PRIu64 "\r\n",
                          REPLICATION_ID, REPLICATION_ID, atomic_load(&offset));
    append(reply, "$%d\r\n%s\r\n", length, info);
}

static void append_time(struct text *reply)
{
    struct timeval t;
    char seconds[24], micros[24];
    gettimeofday(&t, NULL);
    snprintf(seconds, sizeof seconds, "%lld", (long long)t.tv_sec);
    snprintf(micros, sizeof micros, "%ld", (long)t.tv_usec);
    append(reply, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(seconds), seconds, strlen(micros), micros);
}

static void append_hello(struct text *reply, const struct request *request)
{
    bool resp3 = is(request, 1, "3");
    append(reply, "%s\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n", resp3 ? "%7" : "*14");
    append(reply, "$5\r\nproto\r\n:%d\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n", resp3 ? 3 : 2);
    append(reply, "$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
}

static void append_reply(struct text *reply, const struct request *request)
{
    if (is(request, 0, "PING"))
        append(reply, "+PONG\r\n");
    else if (is(request, 0, "INFO"))
        append_info(reply);
    else if (is(request, 0, "TIME"))
        append_time(reply);
    else if (is(request, 0, "ROLE"))
        append(reply, "*3\r\n$6\r\nmaster\r\n:%" PRIu64 "\r\n*0\r\n", atomic_load(&offset));
    else if (is(request, 0, "HELLO"))
        append_hello(reply, request);
    else if (is(request, 0, "AUTH") || is(request, 0, "REPLCONF") || is(request, 0, "SELECT") ||
             is(request, 0, "CLIENT"))
        append(reply, "+OK\r\n");
    else
        append(reply, "-ERR unknown command\r\n");
}

static void print_result(void)
{
    double seconds = (double)(now_ns() - atomic_load(&first_byte_at)) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"event\":\"acknowledged\",\"bytes\":%" PRIu64 ",\"commands\":%" PRIu64
           ",\"secondsFromFirstByteToFinalAck\":%.6f,\"mbPerSecond\":%.1f,\"senderCpuSeconds\":%.3f}\n",
           plan.bytes, plan.commands, seconds, (double)plan.bytes / 1e6 / seconds, cpu);
    fflush(stdout);
}

/* A replica answers GETACK with the offset before that command, so the last SET is the goal. */
static void take_ack(const struct request *request)
{
    char digits[24] = "";
    size_t length = request->argument[2].length;
    memcpy(digits, request->argument[2].at, length < sizeof digits ? length : sizeof digits - 1);
    uint64_t claimed = strtoull(digits, NULL, 10);
    if (claimed > atomic_load(&offset)) {
        fprintf(stderr, "firehose: acknowledged offset %" PRIu64 ", which was not sent\n", claimed);
        exit(1);
    }
    if (claimed < START_OFFSET + plan.bytes) return;
    if (!atomic_exchange(&acknowledged, true)) print_result();
}

static void start_stream(struct link *link)
{
    pthread_t sender;
    if (atomic_exchange(&streaming, true)) {
        send_all(link->fd, "-ERR one replica at a time\r\n", 28);
        return;
    }
    link->is_stream = true;
    if (pthread_create(&sender, NULL, send_stream, (void *)(intptr_t)link->fd) != 0) die("thread");
    pthread_detach(sender);
}

static bool answer(struct link *link, const struct request *request)
{
    struct text reply = {.length = 0};
    if (is(request, 0, "REPLCONF") && is(request, 1, "ACK") && request->count > 2) {
        if (link->is_stream) take_ack(request);
        return true;
    }
    if (link->is_stream) return true;
    if (is(request, 0, "PSYNC")) {
        start_stream(link);
        return true;
    }
    if (is(request, 0, "MULTI")) {
        link->queued = 0;
        link->transaction.length = 0;
        append(&reply, "+OK\r\n");
    } else if (is(request, 0, "EXEC") && link->queued >= 0) {
        append(&reply, "*%d\r\n%.*s", link->queued, (int)link->transaction.length, link->transaction.bytes);
        link->queued = -1;
    } else if (link->queued >= 0) {
        link->queued++;
        append_reply(&link->transaction, request);
        append(&reply, "+QUEUED\r\n");
    } else {
        append_reply(&reply, request);
    }
    return send_all(link->fd, reply.bytes, reply.length);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Reads "<mark><digits>\r\n"; returns its length, 0 when incomplete, -1 when it is something else. */
static ssize_t parse_count(const char *at, size_t length, char mark, size_t *value)
{
    if (length == 0) return 0;
    if (at[0] != mark) return -1;
    const char *end = memchr(at, '\n', length);
    if (end == NULL) return length < 16 ? 0 : -1;
    *value = strtoul(at + 1, NULL, 10);
    return end - at + 1;
}

/* Same results as parse_count. A line feed alone is how a replica says that it is still alive. */
static ssize_t parse_request(const char *at, size_t length, struct request *request)
{
    request->count = 0;
    if (length > 0 && at[0] == '\n') return 1;
    size_t count, size;
    ssize_t used = parse_count(at, length, '*', &count);
    if (used <= 0) return used;
    if (count < 1 || count > ARGUMENTS_MAX) return -1;
    for (size_t i = 0; i < count; i++) {
        ssize_t n = parse_count(at + used, length - (size_t)used, '$', &size);
        if (n <= 0) return n;
        used += n;
        if (size > 65536) return -1;
        if (length - (size_t)used < size + 2) return 0;
        request->argument[i].at = at + used;
        request->argument[i].length = size;
        used += (ssize_t)size + 2;
    }
    request->count = (int)count;
    return used;
}

/* Answers the complete requests at the start of the buffer; returns how many bytes they were, or -1 to hang up. */
static ssize_t answer_all(struct link *link, const char *buffer, size_t length)
{
    size_t used = 0;
    for (;;) {
        struct request request;
        ssize_t n = parse_request(buffer + used, length - used, &request);
        if (n == 0) return (ssize_t)used;
        if (n < 0 || (request.count > 0 && !answer(link, &request))) return -1;
        used += (size_t)n;
    }
}

static void *serve(void *argument)
{
    struct link link = {.fd = (int)(intptr_t)argument, .queued = -1};
    static _Thread_local char buffer[131072];
    size_t length = 0;
    for (;;) {
        ssize_t n = recv(link.fd, buffer + length, sizeof buffer - length, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        length += (size_t)n;
        ssize_t used = answer_all(&link, buffer, length);
        if (used < 0) break;
        length -= (size_t)used;
        memmove(buffer, buffer + used, length);
    }
    if (link.is_stream) {
        if (!atomic_load(&acknowledged)) fprintf(stderr, "firehose: the replica left or fell silent before the end\n");
        exit(atomic_load(&acknowledged) ? 0 : 1);
    }
    close(link.fd);
    return NULL;
}

static int listen_on(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 16) < 0) die("cannot listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("{\"event\":\"listening\",\"port\":%d,\"bytes\":%" PRIu64 ",\"commands\":%" PRIu64
           ",\"streamBytes\":%" PRIu64 "}\n",
           ntohs(address.sin_port), plan.bytes, plan.commands, plan.bytes + (sizeof get_ack - 1));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: firehose BYTES [PORT]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    make_plan(strtoull(argv[1], NULL, 10));
    int listener = listen_on((uint16_t)(argc > 2 ? atoi(argv[2]) : 0));
    for (;;) {
        int fd = accept(listener, NULL, NULL), yes = 1;
        struct timeval patience = {.tv_sec = SILENCE_SECONDS};
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        pthread_t server;
        if (pthread_create(&server, NULL, serve, (void *)(intptr_t)fd) != 0) die("thread");
        pthread_detach(server);
    }
}

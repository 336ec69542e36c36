/*
 * A primary that does nothing but send: the source of the benchmarks. It sends an RDB and then a fixed plan of stream
 * bytes: SELECT 0, as many 144-byte SETs (16-byte key, 100-byte value) as fit into BYTES, and one REPLCONF GETACK, so
 * that nobody's own acknowledgement timer is measured. The stream is one prebuilt block, repeated: the cores are shared
 * with the program under test, so sending must cost as little as it can (write() costs less than sendfile(): measured).
 *
 * Usage: firehose [-r RATE [-g MS]] [-d RDB_BYTES] [-p PORT] BYTES
 *   -r RATE       so many SETs a second, in a batch each millisecond, instead of as fast as the socket takes them
 *   -g MS         a probe about every so many ms: GETACK, as a primary with WAITing clients sends it
 *   -d RDB_BYTES  a diskless RDB of about this size, of 1 MiB strings, instead of an empty one of known length
 *   -o            only writes the stream to standard output: what must have been kept afterwards
 *
 * Prints a line of JSON when it listens; with -d when the RDB is sent and when it is acknowledged; and when the last SET
 * is acknowledged, with all times. It ends when the link closes or has been silent for 60 seconds.
 */
#define _POSIX_C_SOURCE 200809L
#include "link.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_BYTES 144
#define BLOCK_COMMANDS 29127 /* just below 4 MiB */
#define BLOCK_BYTES ((size_t)BLOCK_COMMANDS * COMMAND_BYTES)
#define VALUE_BYTES 100
#define RDB_VALUE_BYTES (1024 * 1024)
#define RDB_RECORD_BYTES (1 + 1 + 16 + 5 + RDB_VALUE_BYTES)
#define RDB_HEAD_MAX 512
#define START_OFFSET 1000 /* not 0, so that an ACK of nothing is seen to be one */
#define END_MARK "0123456789abcdef0123456789abcdef01234567"
#define TICK_NS 1000000u

static const char select_db[] = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
static const char get_ack[] = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";

/* What will be sent; fixed before the first connection. */
static struct {
    uint64_t commands;
    uint64_t rate;         /* commands a second; 0: as fast as it goes */
    uint64_t probe_ms;     /* 0: none but the last */
    uint64_t rdb_records;  /* 0: the empty RDB */
    uint64_t rdb_bytes;
    uint64_t rdb_crc;
    uint64_t goal;         /* stream bytes up to the last SET: what the result counts */
    uint64_t stream_bytes; /* all of them */
    uint64_t probes_max;
    time_t created;
    char *block; /* BLOCK_COMMANDS SETs */
} plan;

/* A probe is answered by the first acknowledgement of all that was before it. */
struct probe {
    uint64_t goal; /* offset */
    uint64_t written_at;
    uint64_t late_ns; /* of the sender, by its own fault */
    uint64_t lag_ns;
};

static struct primary primary = {.offset = START_OFFSET};
static struct probe *probes;
static _Atomic uint64_t probes_sent;
static uint64_t probes_answered; /* the reading thread's */
static _Atomic uint64_t rdb_begun_at; /* nanoseconds, monotonic */
static _Atomic bool rdb_sent;
static _Atomic bool attached; /* something was acknowledged behind the RDB, even if nothing */
static _Atomic uint64_t first_byte_at;
static _Atomic bool acknowledged;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) continue;
}

static double seconds_since(uint64_t ns)
{
    return (double)(now_ns() - ns) / 1e9;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* ---- where bytes go: to the link, to standard output, or nowhere, to learn how many they are ------------------- */

struct outlet {
    int fd; /* -1: nowhere */
    bool is_link;
    bool computes_crc;
    uint64_t bytes;
    uint64_t crc;
};

static uint64_t crc_table[8][256];

/* CRC-64 Jones, reflected, as in Redis; eight bytes at a time, because a primary's RDB has gigabytes. */
static void make_crc_table(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x95ac9329ac4bc9b5u : 0);
        crc_table[0][byte] = crc;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        for (int k = 1; k < 8; k++) {
            uint64_t before = crc_table[k - 1][byte];
            crc_table[k][byte] = crc_table[0][before & 0xff] ^ before >> 8;
        }
    }
}

static uint64_t crc64(uint64_t crc, const uint8_t *at, size_t length)
{
    for (; length >= 8; length -= 8, at += 8) {
        for (int i = 0; i < 8; i++) crc ^= (uint64_t)at[i] << 8 * i;
        uint64_t next = 0;
        for (int i = 0; i < 8; i++) next ^= crc_table[7 - i][crc >> 8 * i & 0xff];
        crc = next;
    }
    for (; length > 0; length--) crc = crc_table[0][(crc ^ *at++) & 0xff] ^ crc >> 8;
    return crc;
}

static bool put(struct outlet *to, const void *data, size_t length)
{
    to->bytes += length;
    if (to->computes_crc) to->crc = crc64(to->crc, data, length);
    return to->fd < 0 || write_all(to->fd, data, length);
}

/* ---- the stream ------------------------------------------------------------------------------------------------ */

static bool put_stream_bytes(struct outlet *to, const void *data, size_t length)
{
    if (to->is_link) atomic_fetch_add(&primary.offset, length);
    return put(to, data, length);
}

/* SETs number `from` up to, but not including, `until`. */
static bool put_commands(struct outlet *to, uint64_t from, uint64_t until)
{
    while (from < until) {
        uint64_t index = from % BLOCK_COMMANDS, count = BLOCK_COMMANDS - index;
        if (count > until - from) count = until - from;
        if (!put_stream_bytes(to, plan.block + index * COMMAND_BYTES, count * COMMAND_BYTES)) return false;
        from += count;
    }
    return true;
}

static bool put_probe(struct outlet *to, uint64_t written_at, uint64_t late_ns)
{
    if (to->is_link) {
        uint64_t number = atomic_load(&probes_sent);
        probes[number] = (struct probe){atomic_load(&primary.offset), written_at, late_ns, 0};
        atomic_store(&probes_sent, number + 1);
    }
    return put_stream_bytes(to, get_ack, sizeof get_ack - 1);
}

/*
 * A batch each millisecond; what the sender is behind, it sends at once. A write is dated when it was due, yet not before
 * the sender last woke up: if it slept for too long, that is not the receiver's fault; if the socket was full, it is.
 */
static bool put_paced(struct outlet *to)
{
    uint64_t start = now_ns(), woke_at = start, late = 0, state = 30, sent = 0, probe_at = plan.probe_ms;
    for (uint64_t tick = 0; sent < plan.commands; tick++) {
        uint64_t due = start + tick * TICK_NS, until = (tick + 1) * plan.rate / 1000;
        if (to->is_link && now_ns() < due) {
            sleep_until(due);
            woke_at = now_ns();
            late = woke_at - due;
        }
        if (until > plan.commands) until = plan.commands;
        if (!put_commands(to, sent, until)) return false;
        sent = until;
        if (plan.probe_ms == 0 || tick < probe_at) continue;
        if (!put_probe(to, due > woke_at ? due : woke_at, late)) return false;
        /* Irregular, so that it falls into step with nobody's timer. */
        probe_at = tick + 1 + plan.probe_ms / 2 + next_random(&state) % plan.probe_ms;
        plan.probes_max += !to->is_link;
    }
    return true;
}

static bool put_stream(struct outlet *to, uint64_t *goal)
{
    if (!put_stream_bytes(to, select_db, sizeof select_db - 1)) return false;
    if (!(plan.rate > 0 ? put_paced(to) : put_commands(to, 0, plan.commands))) return false;
    *goal = to->bytes;
    return put_stream_bytes(to, get_ack, sizeof get_ack - 1);
}

/* ---- the RDB --------------------------------------------------------------------------------------------------- */

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

static uint8_t *put_length(uint8_t *at, uint64_t length)
{
    *at++ = 0x80;
    for (int shift = 24; shift >= 0; shift -= 8) *at++ = (uint8_t)(length >> shift);
    return at;
}

/* All that 7.0 writes ahead of the first key. */
static size_t make_rdb_head(uint8_t *rdb)
{
    char created[24], start[24];
    snprintf(created, sizeof created, "%lld", (long long)plan.created);
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
    if (plan.rdb_records == 0) return length;
    rdb[length++] = 0xfe; /* db 0, its number of keys, and of those with a TTL */
    rdb[length++] = 0;
    rdb[length++] = 0xfb;
    length = (size_t)(put_length(rdb + length, plan.rdb_records) - rdb);
    rdb[length++] = 0;
    return length;
}

static bool put_record(struct outlet *to, uint64_t number)
{
    uint8_t head[RDB_RECORD_BYTES - RDB_VALUE_BYTES] = {0, 16};
    char key[32];
    snprintf(key, sizeof key, "rdb:%012" PRIu64, number);
    memcpy(head + 2, key, 16);
    put_length(head + 18, RDB_VALUE_BYTES);
    return put(to, head, sizeof head) && put(to, plan.block + number % 1000 * COMMAND_BYTES, RDB_VALUE_BYTES);
}

static bool put_rdb(struct outlet *to)
{
    uint8_t head[RDB_HEAD_MAX], end[9] = {0xff};
    if (!put(to, head, make_rdb_head(head))) return false;
    for (uint64_t i = 0; i < plan.rdb_records; i++) {
        if (!put_record(to, i)) return false;
    }
    if (!put(to, end, 1)) return false;
    if (to->computes_crc) plan.rdb_crc = to->crc;
    for (int i = 0; i < 8; i++) end[1 + i] = (uint8_t)(plan.rdb_crc >> 8 * i);
    return put(to, end + 1, 8);
}

/* ---- the plan -------------------------------------------------------------------------------------------------- */

/* Values differ and don't repeat within a block: whoever compresses what arrives must not find it easier than life. */
static void fill_value(char *value, uint64_t *state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < VALUE_BYTES; i++) value[i] = alphabet[next_random(state) >> 25];
    value[VALUE_BYTES] = '\0';
}

static void make_block(void)
{
    uint64_t state = 20;
    char value[VALUE_BYTES + 1];
    plan.block = malloc(BLOCK_BYTES + 1); /* snprintf ends the last command with a zero */
    if (plan.block == NULL) die("no memory for the block");
    for (size_t key = 0; key < BLOCK_COMMANDS; key++) {
        fill_value(value, &state);
        int length = snprintf(plan.block + key * COMMAND_BYTES, COMMAND_BYTES + 1,
                              "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012zu\r\n$%d\r\n%s\r\n", key, VALUE_BYTES, value);
        if (length != COMMAND_BYTES) die("the block is not what was planned");
    }
}

static void make_plan(uint64_t bytes, uint64_t rdb_bytes)
{
    struct outlet nowhere = {.fd = -1}, checksum = {.fd = -1, .computes_crc = true};
    uint64_t lead = sizeof select_db - 1;
    plan.commands = bytes > lead ? (bytes - lead) / COMMAND_BYTES : 0;
    plan.rdb_records = rdb_bytes / RDB_RECORD_BYTES;
    plan.created = time(NULL);
    make_block();
    make_crc_table();
    put_stream(&nowhere, &plan.goal);
    plan.stream_bytes = nowhere.bytes;
    put_rdb(&checksum);
    plan.rdb_bytes = checksum.bytes;
    probes = calloc(plan.probes_max + 1, sizeof *probes);
    if (probes == NULL) die("no memory for the probes");
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

static void print_rdb_event(const char *event)
{
    printf("{\"event\":\"%s\",\"bytes\":%" PRIu64 ",\"secondsFromFirstRdbByte\":%.6f}\n", event, plan.rdb_bytes,
           seconds_since(atomic_load(&rdb_begun_at)));
    fflush(stdout);
}

/* Diskless: nobody knows the length, a mark ends it, and the stream waits for the first acknowledgement behind it. */
static bool send_rdb(int fd)
{
    char lead[160];
    struct outlet link = {.fd = fd, .is_link = true};
    const char *form = plan.rdb_records > 0 ? "+FULLRESYNC %s %d\r\n$EOF:" END_MARK "\r\n" : "+FULLRESYNC %s %d\r\n$%zu\r\n";
    int length = snprintf(lead, sizeof lead, form, REPLICATION_ID, START_OFFSET, (size_t)plan.rdb_bytes);
    if (!write_all(fd, lead, (size_t)length)) return false;
    atomic_store(&rdb_begun_at, now_ns());
    if (!put_rdb(&link)) return false;
    if (plan.rdb_records == 0) return true;
    atomic_store(&rdb_sent, true);
    if (!write_all(fd, END_MARK, sizeof END_MARK - 1)) return false;
    print_rdb_event("rdb-sent");
    while (!atomic_load(&attached)) sleep_until(now_ns() + TICK_NS);
    return true;
}

static void *send_all(void *argument)
{
    struct outlet link = {.fd = (int)(intptr_t)argument, .is_link = true};
    uint64_t goal;
    if (!send_rdb(link.fd)) return NULL;
    atomic_store(&first_byte_at, now_ns());
    put_stream(&link, &goal);
    return NULL;
}

static void start_sending(int fd)
{
    pthread_t sender;
    if (pthread_create(&sender, NULL, send_all, (void *)(intptr_t)fd) != 0) die("thread");
    pthread_detach(sender);
}

/* ---- acknowledgements ------------------------------------------------------------------------------------------ */

static void print_micros(const char *name, size_t field)
{
    printf(",\"%s\":[", name);
    for (uint64_t i = 0; i < probes_answered; i++) {
        uint64_t ns = *(const uint64_t *)((const char *)&probes[i] + field);
        printf("%s%" PRIu64, i == 0 ? "" : ",", ns / 1000);
    }
    printf("]");
}

static void print_result(void)
{
    double seconds = seconds_since(atomic_load(&first_byte_at));
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"event\":\"acknowledged\",\"bytes\":%" PRIu64 ",\"commands\":%" PRIu64
           ",\"secondsFromFirstByteToFinalAck\":%.6f,\"mbPerSecond\":%.1f,\"senderCpuSeconds\":%.3f",
           plan.goal, plan.commands, seconds, (double)plan.goal / 1e6 / seconds, cpu);
    print_micros("lagMicros", offsetof(struct probe, lag_ns));
    print_micros("senderLateMicros", offsetof(struct probe, late_ns));
    printf("}\n");
    fflush(stdout);
}

/* A replica answers GETACK with the offset before that command: so that is what a probe, and the end, wait for. */
static void take_ack(uint64_t claimed)
{
    static bool is_rdb_acknowledged;
    uint64_t now = now_ns();
    if (claimed > atomic_load(&primary.offset)) {
        fprintf(stderr, "firehose: acknowledged offset %" PRIu64 ", which was not sent\n", claimed);
        exit(1);
    }
    if (plan.rdb_records > 0 && !atomic_load(&rdb_sent)) {
        if (claimed == 0) return;
        fprintf(stderr, "firehose: acknowledged offset %" PRIu64 " before the RDB was sent\n", claimed);
        exit(1);
    }
    atomic_store(&attached, true);
    if (plan.rdb_records > 0 && !is_rdb_acknowledged && claimed >= START_OFFSET) {
        is_rdb_acknowledged = true;
        print_rdb_event("rdb-acknowledged");
    }
    for (uint64_t sent = atomic_load(&probes_sent); probes_answered < sent; probes_answered++) {
        struct probe *probe = &probes[probes_answered];
        if (probe->goal > claimed) break;
        probe->lag_ns = now > probe->written_at ? now - probe->written_at : 0;
    }
    if (claimed < START_OFFSET + plan.goal) return;
    if (!atomic_exchange(&acknowledged, true)) print_result();
}

static void take_leave(void)
{
    bool is_done = atomic_load(&acknowledged);
    if (!is_done) fprintf(stderr, "firehose: the replica left or fell silent before the end\n");
    exit(is_done ? 0 : 1);
}

/* ---- the command line ------------------------------------------------------------------------------------------ */

static int usage(void)
{
    fprintf(stderr, "usage: firehose [-r RATE [-g MS]] [-d RDB_BYTES] [-p PORT] [-o] BYTES\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t rdb_bytes = 0;
    uint16_t port = 0;
    bool only_prints = false;
    for (int option; (option = getopt(argc, argv, "r:g:d:p:o")) != -1;) {
        uint64_t number = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (option) {
        case 'r': plan.rate = number; break;
        case 'g': plan.probe_ms = number; break;
        case 'd': rdb_bytes = number; break;
        case 'p': port = (uint16_t)number; break;
        case 'o': only_prints = true; break;
        default: return usage();
        }
    }
    if (optind != argc - 1) return usage();
    signal(SIGPIPE, SIG_IGN);
    make_plan(strtoull(argv[optind], NULL, 10), rdb_bytes);
    if (only_prints) {
        struct outlet output = {.fd = STDOUT_FILENO};
        return put_stream(&output, &plan.goal) ? 0 : 1;
    }
    primary.attached = start_sending;
    primary.acknowledged = take_ack;
    primary.left = take_leave;
    int listener = listen_on(&port);
    printf("{\"event\":\"listening\",\"port\":%d,\"bytes\":%" PRIu64 ",\"commands\":%" PRIu64 ",\"streamBytes\":%" PRIu64
           ",\"rdbBytes\":%" PRIu64 "}\n",
           port, plan.goal, plan.commands, plan.stream_bytes, plan.rdb_bytes);
    fflush(stdout);
    serve_links(listener, &primary);
}

/* See link.h. */
#define _POSIX_C_SOURCE 200809L
#include "link.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define SILENCE_SECONDS 60
#define ARGUMENTS_MAX 32

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

static struct primary *primary;
static _Atomic bool streaming;

void die(const char *what)
{
    fprintf(stderr, "firehose: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool write_all(int fd, const void *data, size_t length)
{
    for (const char *at = data; length > 0;) {
        ssize_t n = write(fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

/* ---- answering ------------------------------------------------------------------------------------------------- */

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
                          REPLICATION_ID, REPLICATION_ID, atomic_load(&primary->offset));
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
        append(reply, "*3\r\n$6\r\nmaster\r\n:%" PRIu64 "\r\n*0\r\n", atomic_load(&primary->offset));
    else if (is(request, 0, "HELLO"))
        append_hello(reply, request);
    else if (is(request, 0, "AUTH") || is(request, 0, "REPLCONF") || is(request, 0, "SELECT") ||
             is(request, 0, "CLIENT"))
        append(reply, "+OK\r\n");
    else
        append(reply, "-ERR unknown command\r\n");
}

static void take_ack(const struct request *request)
{
    char digits[24] = "";
    size_t length = request->argument[2].length;
    memcpy(digits, request->argument[2].at, length < sizeof digits ? length : sizeof digits - 1);
    primary->acknowledged(strtoull(digits, NULL, 10));
}

static void attach(struct link *link)
{
    if (atomic_exchange(&streaming, true)) {
        write_all(link->fd, "-ERR one replica at a time\r\n", 28);
        return;
    }
    link->is_stream = true;
    primary->attached(link->fd);
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
        attach(link);
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
    return write_all(link->fd, reply.bytes, reply.length);
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
    if (link.is_stream) primary->left();
    close(link.fd);
    return NULL;
}

int listen_on(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 16) < 0) die("cannot listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

void serve_links(int listener, struct primary *served)
{
    primary = served;
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

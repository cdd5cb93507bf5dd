/*
 * wire/address.c - the text forms of addresses.  Contract: address.h.
 */
#include "wire/address.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int parse_unix(const char *path, struct address *ret, struct err *err)
{
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof(ret->socket.un.sun_path))
        return err_set(err, ERR_INVALID, "the path of a unix socket has 1 to %zu bytes, not %zu",
                       sizeof(ret->socket.un.sun_path) - 1, n);
    ret->kind = ADDRESS_UNIX;
    ret->socket.un.sun_family = AF_UNIX;
    memcpy(ret->socket.un.sun_path, path, n + 1);
    ret->socket_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return 0;
}

/* Cuts "host:port" or "[host]:port"; false if it is neither. */
static bool split(struct str text, struct str *host, struct str *port)
{
    size_t colon = SIZE_MAX;

    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == ':')
            colon = i;
    if (colon == SIZE_MAX)
        return false;
    *host = str_sub(text, 0, colon);
    *port = str_from(text, colon + 1);
    if (host->n >= 2 && host->p[0] == '[' && host->p[host->n - 1] == ']')
        *host = str_sub(*host, 1, host->n - 2);
    else if (str_find_char(*host, ':') != SIZE_MAX)
        return false; /* an IPv6 address needs its brackets */
    return host->n > 0;
}

int address_parse(const char *text, struct address *ret, struct err *err)
{
    struct str s = str_of(text);
    struct str host = STR_NULL;
    struct str port = STR_NULL;
    uint64_t number = 0;

    memset(ret, 0, sizeof(*ret));
    if (str_starts(s, STR("unix:")))
        return parse_unix(text + 5, ret, err);
    if (!split(s, &host, &port))
        return err_set(err, ERR_INVALID,
                       "'%s' is no address: want host:port, [ipv6]:port or unix:/path", text);
    if (host.n >= sizeof(ret->host))
        return err_set(err, ERR_INVALID, "the host name of an address is too long");
    if (!str_to_u64(port, &number) || number > 65535)
        return err_set(err, ERR_INVALID, "'%s' has no port between 0 and 65535", text);
    (void)str_to_z(host, ret->host, sizeof(ret->host));
    (void)snprintf(ret->port, sizeof(ret->port), "%u", (unsigned)number);
    ret->kind = ADDRESS_IP;
    if (inet_pton(AF_INET, ret->host, &ret->socket.v4.sin_addr) == 1) {
        ret->socket.v4.sin_family = AF_INET;
        ret->socket.v4.sin_port = htons((uint16_t)number);
        ret->socket_n = sizeof(ret->socket.v4);
    } else if (inet_pton(AF_INET6, ret->host, &ret->socket.v6.sin6_addr) == 1) {
        ret->socket.v6.sin6_family = AF_INET6;
        ret->socket.v6.sin6_port = htons((uint16_t)number);
        ret->socket_n = sizeof(ret->socket.v6);
    } else {
        memset(&ret->socket, 0, sizeof(ret->socket));
        ret->kind = ADDRESS_NAME;
    }
    return 0;
}

char *address_format(const union address_socket *s, char *dst)
{
    char ip[INET6_ADDRSTRLEN] = "?";

    if (s->any.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &s->v4.sin_addr, ip, sizeof(ip));
        (void)snprintf(dst, ADDRESS_TEXT_MAX, "%s:%u", ip, (unsigned)ntohs(s->v4.sin_port));
    } else if (s->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &s->v6.sin6_addr, ip, sizeof(ip));
        (void)snprintf(dst, ADDRESS_TEXT_MAX, "[%s]:%u", ip, (unsigned)ntohs(s->v6.sin6_port));
    } else {
        (void)snprintf(dst, ADDRESS_TEXT_MAX, "unix");
    }
    return dst;
}

/*
 * wire/address.h - where to connect or listen: text forms and socket addresses.  Any thread.
 *
 *     127.0.0.1:3100   [::1]:3100   name:3100   unix:/path
 */
#ifndef LOGQ_WIRE_ADDRESS_H
#define LOGQ_WIRE_ADDRESS_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

union address_socket {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    struct sockaddr_storage room;
};

struct address {
    enum { ADDRESS_IP, ADDRESS_NAME, ADDRESS_UNIX } kind;
    char host[256];              /* without brackets; empty for ADDRESS_UNIX */
    char port[6];                /* decimal */
    union address_socket socket; /* ADDRESS_IP and ADDRESS_UNIX */
    socklen_t socket_n;
};

enum { ADDRESS_TEXT_MAX = 128 };

/* ERR_INVALID says what is wrong with `text`. */
int address_parse(const char *text, struct address *ret, struct err *err);

/* "1.2.3.4:5", "[::1]:5" or "unix" at dst, which holds ADDRESS_TEXT_MAX bytes; returns dst. */
char *address_format(const union address_socket *s, char *dst);

#endif

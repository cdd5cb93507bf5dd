/* query/ip.h - ranges of IP addresses, and addresses within text. */
#ifndef LOGQ_QUERY_IP_H
#define LOGQ_QUERY_IP_H

#include "base/str.h"

#include <stdint.h>

struct ip {
    unsigned n;    /* bytes: 4, or 16 */
    uint8_t b[16]; /* network order */
};

struct ip_range {
    struct ip first, last; /* of one family; both inclusive */
};

/* An address, an address with the length of its prefix (a.b.c.d/16), or two with `-` between them.
 * Pure. */
bool ip_range_parse(struct str s, struct ip_range *ret);

/* What each address of the range begins with as it is written, in `text`: "10.0.", or one address
 * whole.  n == 0: nothing; so it is with IPv6, which has many ways to write. */
enum { IP_PREFIX_MAX = 16 };
struct str ip_range_prefix(const struct ip_range *r, char text[IP_PREFIX_MAX]);

/* Is any of the addresses in `text` within the range?  An address is as long as can be: there is no
 * 10.0.0.1 in 110.0.0.1.  An IPv4 address within an IPv6 one (::ffff:1.2.3.4) is none of its own.
 * Linear in `text`. */
bool ip_range_in(const struct ip_range *r, struct str text);

#endif

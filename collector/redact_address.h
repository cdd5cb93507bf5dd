/*
 * collector/redact_address.h - the detectors of mail and IP addresses; see redact_detect.h.
 *
 * Each is asked about a hint, at byte `at`, and looks to both sides of it.
 */
#ifndef LOGQ_COLLECTOR_REDACT_ADDRESS_H
#define LOGQ_COLLECTOR_REDACT_ADDRESS_H

#include "collector/redact_detect.h"

bool redact_address_email(struct str text, size_t at, struct redact_span *ret);
bool redact_address_ipv4(struct str text, size_t at, struct redact_span *ret);
bool redact_address_ipv6(struct str text, size_t at, struct redact_span *ret);

#endif

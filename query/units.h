/*
 * query/units.h - numbers, durations and sizes as LogQL writes them and as logged text holds them.
 *
 * Three notations meet in the language: Go's (what programs log, and what a label filter compares),
 * Prometheus' (ranges) and sizes with decimal or binary prefixes.  All functions are pure and take
 * the whole of `s`.
 */
#ifndef LOGQ_QUERY_UNITS_H
#define LOGQ_QUERY_UNITS_H

#include "base/buf.h"
#include "base/str.h"
#include "base/time.h"

/* A float in Go's syntax: decimal or hexadecimal (with its p exponent), `_` between digits, inf,
 * nan. false: none, or too large for a double. */
bool units_parse_float(struct str s, double *ret);

/* Go's duration: [-+] and groups of a decimal number and ns us µs ms s m h; or a plain 0. */
enum units_fault { UNITS_OK, UNITS_INVALID, UNITS_NO_UNIT, UNITS_UNKNOWN_UNIT, UNITS_TOO_LARGE };
/* *unit (may be NULL): what an unknown unit is called. */
enum units_fault units_parse_go_duration(struct str s, dur_ns *ret, struct str *unit);

/* Prometheus' duration: integers with y w d h m s ms, in this order, each at most once; or 0. */
bool units_parse_range(struct str s, dur_ns *ret);

/* A size: digits with `.` and `,`, blanks, and a unit (B, kB or k, KiB or Ki ... E; letters of any
 * case).  *part (may be NULL): of an invalid size its digits, else the unit. */
enum units_fault units_parse_bytes(struct str s, uint64_t *ret, struct str *part);

/* Text that parses back to the same value: as a range (whole milliseconds, not negative), as an
 * offset or duration literal, as a number literal (finite, no exponent where short without). */
void units_print_range(struct buf *out, dur_ns d);
void units_print_duration(struct buf *out, dur_ns d);
void units_print_float(struct buf *out, double v);

#endif

/*
 * storage/db.h - SQLite as storage uses it: one place for pragmas and for turning its errors into
 * ours.
 *
 * Connections are one thread's at a time (opened NOMUTEX); a caller shares one only behind its own
 * mutex.
 */
#ifndef LOGQ_STORAGE_DB_H
#define LOGQ_STORAGE_DB_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct db;
struct sqlite3;
struct sqlite3_stmt;

/* Open or make `path`; journal_mode=WAL, synchronous=FULL, trusted_schema off, busy timeout 5 s;
 * then run `schema` (CREATE ... IF NOT EXISTS) and check user_version == `version` (set when new).
 * ERR_CORRUPT: not a database, or a failed quick_check (of files up to 8 MiB); ERR_INVALID: made by
 * a newer program; ERR_IO; disk full is ERR_IO with sys ENOSPC. */
int db_open(const char *path, const char *schema, int version, struct db **ret, struct err *err);
/* Open what is there for reading alone.  `still`: nobody else has it open, and no file beside it is
 * touched.  ERR_GONE: no such file; else as db_open, but that no check of its pages is made. */
int db_open_reader(const char *path, bool still, int version, struct db **ret, struct err *err);
void db_close(struct db **pd);

struct sqlite3 *db_handle(struct db *d);
int db_exec(struct db *d, const char *sql, struct err *err);
int db_begin(struct db *d, struct err *err);  /* IMMEDIATE */
int db_commit(struct db *d, struct err *err); /* rolls back when it fails */
void db_rollback(struct db *d);

/* A statement, cached by its text for the life of the connection: reset, unbound, ready to bind. */
int db_prepare(struct db *d, const char *sql, struct sqlite3_stmt **ret, struct err *err);
/* 0: a row is there; 1: done.  Resets the statement when done or failed. */
int db_step(struct db *d, struct sqlite3_stmt *st, struct err *err);
/* End a walk before its last row: a statement left standing on a row keeps its read transaction
 * open. */
void db_reset(struct sqlite3_stmt *st);
/* Turn the connection's last error into ours. */
int db_err(struct db *d, const char *what, struct err *err);

void db_bind_str(struct sqlite3_stmt *st, int i, struct str s);             /* text; copied */
void db_bind_blob(struct sqlite3_stmt *st, int i, const void *p, size_t n); /* copied */
void db_bind_u64(struct sqlite3_stmt *st, int i, uint64_t v);               /* as its bits */
struct str db_column_str(struct sqlite3_stmt *st,
                         int i); /* text or blob; valid until the next step */
uint64_t db_column_u64(struct sqlite3_stmt *st, int i);

#endif

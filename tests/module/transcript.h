/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcripts: a conversation as text, played against a module on the fake core.
 *
 *   client> 'Q' [ z"SELECT 1" ]        what the client sends
 *   target< 'Q' [ z"SELECT 1" ]        what the target must have got, exactly
 *   target> $row $done                 what the target sends
 *   client< $row $done                 what the client must have got, exactly
 *
 * Bytes: "text" z"NUL-terminated" v"with a 32 bit length" 'c' i8: i16: i32: x:0a0b, [ … ] with a 32
 * bit length in front that counts itself, $name, any:N (N bytes of any value, in what is expected).
 *
 *   let NAME BYTES            rule PATTERN allow|deny|limit|kill|hold [ROWS]
 *   include FILE              mask COLUMN null|text|year|detect       deny-column COLUMN
 *   pin SETTING VALUE         for the session that is admitted next
 *   sensitive PATTERN         tls client|target off|optional|required
 *   admit | refuse TEXT       dial | secure SIDE [ALPN] | prove BYTES | prove-fails
 *   decide allow|deny         cancel | notice TEXT | end NUMBER TEXT | full SIDE | drained SIDE
 *   stands yes|no | record-fails | binding TEXT
 *   log TEXT                  the log holds it, after what the last `log` found
 *   nolog TEXT                it does not, anywhere
 *   ended [TEXT] | alive      the session ended (sp_fail said TEXT), or has not
 *   session                   from here on it is another session
 *   whole                     what is sent from here on is never cut
 *
 * At every `client>`, `target>` and at the end nothing unexpected may be left in an output.
 */
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "fake_core.h"

enum transcript_split { SPLIT_NONE, SPLIT_EACH, SPLIT_AT };

struct transcript {
	const struct sp_module *module;
	const char *folder;
	void (*prepare)(struct fake *f); /* e.g. fake_side() */
	enum transcript_split split;
	size_t at;        /* SPLIT_AT: every sent piece is cut after so many bytes */
	size_t longest_r; /* the longest piece sent */
	char error_r[4096]; /* "file:line: what", or "" */
};

/* True when everything was as written. */
bool transcript_play(struct transcript *t, const char *file);
/* The same, and where it leads to; NULL when something was not as written. */
struct fake *transcript_begin(struct transcript *t, const char *file);

#endif

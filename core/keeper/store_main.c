/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-store CONF: moves the store to the PostgreSQL server that the configuration names.
 * sallyport-store CONF new-ledger: ends the ledger and its signing key; the next start makes new ones.  It may be stopped
 * anywhere: nothing starts with half of it, and run again, it finishes.
 *
 * `sallyport store …` starts it: as root, from then on as the keeper's user, whose files and secrets they are.
 */
#include <config.h>

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/conf.h"
#include "../base/log.h"
#include "../base/role.h"
#include "../record/recording.h"
#include "keys.h"
#include "proof.h"
#include "store_engine.h"
#include "store_move.h"

static int
failed(const char *what, const char *why)
{
	(void)fprintf(stderr, "sallyport store: %s%s%s\n", what, *why == '\0' ? "" : ": ", why);
	return 1;
}

static int
become_keeper(const struct settings *s)
{
	char name[96];
	if (geteuid() != 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%s-keeper", s->user);
	const struct passwd *pw = getpwnam(name);
	if (pw == NULL)
		return failed("there is no user, whose the store would be", name);
	if (setgroups(0, NULL) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return failed("this needs the rights of the keeper's user", strerror(errno));
	return 0;
}

static void
progress(const char *table, uint64_t rows, uint64_t all)
{
	static const char *before = "";
	bool terminal = isatty(STDERR_FILENO) == 1;
	if (rows == all && strcmp(before, table) != 0)
		(void)printf("%s%s: %llu\n", terminal ? "\r\033[K" : "", table, (unsigned long long)all);
	else if (rows < all && terminal)
		(void)fprintf(stderr, "\r%s: %llu of %llu", table, (unsigned long long)rows, (unsigned long long)all);
	before = rows == all ? table : before;
	(void)fflush(stdout);
}

static void
on_heard(void *owner, const struct store_change *c)
{
	(void)owner, (void)c;
}

static void
on_lost(void *owner)
{
	(void)owner;
}

/* The rows' marks are by this key: one that is made now would fit none. */
static int
open_keys(struct arena *a, const char *file, struct keys *k_r)
{
	const char *err = "no memory", *slash = strrchr(file, '/');
	char *folder = slash == NULL ? NULL : arena_printf(a, "%.*s", (int)(slash - file), file);
	const char *path = folder == NULL ? NULL : arena_printf(a, "%s/master.key", folder);
	if (path == NULL || access(path, R_OK) != 0)
		return failed(path == NULL ? "the store's folder is not known" : path, "there is no key of the gateway's beside the store, or it is not to be read");
	return keys_open(folder, k_r, &err) == SP_OK ? 0 : failed(err, "");
}

static int
move_to(struct arena *a, const struct settings *s)
{
	static const char *const modes[] = { [TLS_VERIFY_FULL] = "verify-full", [TLS_REQUIRE] = "require", [TLS_OFF] = "disable" };
	struct store_address at;
	struct keys keys;
	struct sp_secret *password = NULL;
	const char *err = "no memory";
	if (settings_store_address(a, s->store.where, &at) != SP_OK)
		return failed("the configuration has to say where the store is from now on", "store postgresql://USER@HOST[:PORT]/DATABASE …;");
	if (open_keys(a, s->store.file, &keys) != 0)
		return 1;
	if (s->store.secret[0] != '\0' && credential_read(s, s->store.secret, &password, &err) != SP_OK) {
		keys_close(&keys);
		return failed(s->store.secret, err);
	}
	struct store_server server = { .host = at.at.host, .port = arena_printf(a, "%u", at.at.port), .user = at.user, .database = at.database,
		.tls = modes[s->store.tls], .ca = s->store.ca, .password = password, .gateway = "move", .base = event_base_new(), .heard = on_heard,
		.lost = on_lost };
	keys_derive(&keys, "store", SP_LIT("check"), server.key_check);
	int rc = server.base == NULL ? SP_ENOMEM : store_move(s->store.file, &server, progress, &err);
	if (server.base != NULL)
		event_base_free(server.base);
	secret_free(&password);
	keys_close(&keys);
	if (rc != SP_OK)
		return failed(s->store.file, err);
	(void)printf("done: the store is at %s now; %s is what the file was, to be removed once all is well\n", at.at.host,
	    arena_printf(a, "%s%s", s->store.file, STORE_MOVED_END));
	return 0;
}

/* ---- a new ledger ---- */

#define SIGNING "signing.key"
#define ENDED SIGNING ".ended" /* there only while this runs, or where it was stopped */

struct signer {
	const uint8_t *public;
	bool other; /* the ledger's last entry is another key's */
};

static int
take_signer(void *owner, const struct field *row)
{
	struct signer *s = owner;
	if (row[0].s.len != LEDGER_ENTRY)
		return SP_EPROTO;
	s->other = !ledger_signed_by(row[0].s.p, s->public);
	return SP_OK;
}

/* Where it was stopped before, the ledger's key is aside; a start since then made one that has signed nothing. */
static int
ledger_key(struct arena *a, const struct settings *set, const char *folder, struct engine *e, char hex_r[2 * DIGEST_LEN + 1])
{
	struct keys keys;
	struct signer s = { 0 };
	const char *path = arena_printf(a, "%s/" SIGNING, folder), *aside = arena_printf(a, "%s/" ENDED, folder);
	if (path == NULL || aside == NULL)
		return failed("no memory", "");
	bool ended = access(aside, F_OK) == 0;
	if (ended && access(path, F_OK) != 0 && keys_rename(folder, ENDED, SIGNING) != SP_OK)
		return failed(aside, strerror(errno));
	for (unsigned tries = 0; tries < 2; tries++) {
		if (open_keys(a, set->store.file, &keys) != 0)
			return 1;
		s.public = keys.signing.public;
		int rc = e->kind->read(e, STORE_LEDGER_LAST, NULL, take_signer, &s);
		text_hex((struct sp_bytes){ keys.signing.public, sizeof(keys.signing.public) }, hex_r);
		keys_close(&keys);
		if (rc != SP_OK)
			return failed(set->store.file, "the ledger can't be read");
		ended = ended && access(aside, F_OK) == 0;
		if (!s.other || !ended)
			break;
		if (keys_rename(folder, ENDED, SIGNING) != SP_OK)
			return failed(aside, strerror(errno));
	}
	return 0;
}

/* The key first: when it stops between the two, a ledger without its key is there, by which nothing starts. */
static int
end_both(struct arena *a, const char *folder, struct engine *e)
{
	const char *aside = arena_printf(a, "%s/" ENDED, folder);
	if (aside == NULL)
		return failed("no memory", "");
	if (keys_rename(folder, SIGNING, ENDED) != SP_OK)
		return failed(aside, arena_printf(a, SIGNING " can't be renamed: %s; nothing was changed", strerror(errno)));
	if (store_sqlite_empty(e, "ledger") != SP_OK) {
		int rc = keys_rename(folder, ENDED, SIGNING);
		return failed(folder, rc == SP_OK ? "the ledger can't be ended: nothing was changed" : "the ledger can't be ended: run this once more");
	}
	return unlink(aside) == 0 ? 0 : failed(aside, arena_printf(a, "%s: remove it yourself, all else is done", strerror(errno)));
}

static int
end_ledger(struct arena *a, const struct settings *s)
{
	struct engine *e = NULL;
	char public[2 * DIGEST_LEN + 1];
	const char *err = "no memory", *slash = strrchr(s->store.file, '/');
	const char *folder = slash == NULL ? NULL : arena_printf(a, "%.*s", (int)(slash - s->store.file), s->store.file);
	if (access(s->store.file, F_OK) != 0 || folder == NULL)
		return failed(s->store.file, "there is no such store");
	int rc = store_sqlite_open(s->store.file, &e, &err);
	if (rc != SP_OK)
		return failed(s->store.file, rc == SP_EIO ? "it is in use by another keeper: stop the gateway first; or it can't be read" : err);
	int status = ledger_key(a, s, folder, e, public);
	if (status == 0)
		status = end_both(a, folder, e);
	e->kind->close(e);
	if (status == 0)
		(void)printf("done: the next start makes a new signing.key and a new ledger.\nBefore that, move all of %s away: `sallyport verify FOLDER --key %s` proves it.\n",
		    s->record.store, public);
	return status;
}

int
main(int argc, char **argv)
{
	struct arena *a = arena_new(0);
	struct settings s = { 0 };
	struct conf_node *tree;
	const char *err = "no memory";
	bool ledger = argc == 3 && strcmp(argv[2], "new-ledger") == 0;
	if ((argc != 2 && !ledger) || a == NULL)
		return failed("usage: sallyport store migrate|new-ledger [--conf FILE]", "");
	log_init("store", STDERR_FILENO, SP_WARN);
	role_no_dumps();
	s.folder = conf_folder(a, argv[1]);
	int rc = conf_read(a, argv[1], &tree, &err);
	if (rc == SP_OK)
		rc = settings_fill(a, tree, &s, &err);
	int status = rc != SP_OK ? failed(err, "") : become_keeper(&s) != 0 ? 1 : ledger ? end_ledger(a, &s) : move_to(a, &s);
	arena_free(&a);
	return status;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs: from files through a sealed memory file and back; nothing in one is taken on trust. */
#include <config.h>
#include "cunit_main.h"
#include "files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/epoch.h"

static char folder[] = "/tmp/sallyport-epoch-XXXXXX";

static const char *
in_folder(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	turn = (turn + 1) % 4;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static void
put(const char *name, const char *text)
{
	FILE *f = fopen(in_folder(name), "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)fputs(text, f);
	(void)fclose(f);
	CU_ASSERT_EQUAL(chmod(in_folder(name), 0600), 0);
}

static void
setup(void)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	CU_ASSERT_EQUAL_FATAL(mkdir(in_folder("policies"), 0700), 0);
	put("main.conf",
	    "load_module postgres;\n"
	    "identity corp { oidc issuer=i audience=a jwks=file:jwks.json; }\n"
	    "listener pg { listen 0.0.0.0:5432; protocol postgres; tls cert=cert.pem key=key.pem; }\n"
	    "console { listen 0.0.0.0:8443; url https://gate.example.com:8443; tls cert=cert.pem key=console.pem; }\n"
	    "target orders { protocol postgres; server db:5432; tls ca=ca.pem; policy policies/a.lua policies/b.lua; }\n"
	    "target crm { protocol postgres; server db:5432; tls ca=ca.pem; policy policies/a.lua; }\n");
	put("cert.pem", "the certificate");
	put("key.pem", "the key");
	put("console.pem", "the console's key");
	put("ca.pem", "the authority");
	put("jwks.json", "{}");
	put("policies/a.lua", "-- a");
	put("policies/a_test.lua", "-- test of a");
	put("policies/b.lua", "-- b");
}

static struct epoch *
read_epoch(void)
{
	struct epoch *e;
	const char *err = "";
	int rc = epoch_read(in_folder("main.conf"), &e, &err);
	if (rc != SP_OK)
		printf("%s\n", err);
	CU_ASSERT_EQUAL_FATAL(rc, SP_OK);
	return e;
}

static void
check_content(const struct epoch *e, unsigned whose)
{
	CU_ASSERT_EQUAL(e->npolicies, 2);
	CU_ASSERT_EQUAL(e->nfiles, 5);
	const struct epoch_file *key = epoch_find_file(e, e->settings.listeners->tls.key);
	const struct epoch_file *cert = epoch_find_file(e, e->settings.listeners->tls.cert);
	CU_ASSERT_PTR_NOT_NULL_FATAL(key);
	CU_ASSERT(key->private == EPOCH_WORKERS && sp_bytes_is(key->content, whose & EPOCH_WORKERS ? "the key" : ""));
	const struct epoch_file *own = epoch_find_file(e, e->settings.console.tls.key);
	CU_ASSERT_PTR_NOT_NULL_FATAL(own);
	CU_ASSERT(own->private == EPOCH_CONSOLE && sp_bytes_is(own->content, whose & EPOCH_CONSOLE ? "the console's key" : ""));
	CU_ASSERT(cert != NULL && !cert->private && sp_bytes_is(cert->content, "the certificate"));
	CU_ASSERT_PTR_NOT_NULL(epoch_find_file(e, in_folder("jwks.json")));
	const struct policy_source *a = epoch_find_policy(e, e->settings.targets->policy.v[0]);
	CU_ASSERT(a != NULL && sp_bytes_is(a->text, "-- a"));
	CU_ASSERT_PTR_NULL(epoch_find_policy(e, "policies/a.lua"));
	CU_ASSERT_STRING_EQUAL(e->settings.folder, folder);
}

static void
test_round_trip(void)
{
	setup();
	static const unsigned each[] = { EPOCH_WORKERS, EPOCH_CONSOLE, 0 };
	struct epoch *e = read_epoch(), *all, *part;
	const char *err;
	int fd, fd_part;
	check_content(e, EPOCH_ALL);
	CU_ASSERT_EQUAL(e->ntests, 1);
	const struct policy_source *t = epoch_find_test(e, e->settings.targets->policy.v[0]);
	CU_ASSERT(t != NULL && sp_bytes_is(t->text, "-- test of a"));
	CU_ASSERT_PTR_NULL(epoch_find_test(e, e->settings.targets->policy.v[1]));
	CU_ASSERT_EQUAL_FATAL(epoch_seal(e, EPOCH_ALL, &fd), SP_OK);
	CU_ASSERT_EQUAL_FATAL(epoch_open(fd, 7, &all, &err), SP_OK);
	check_content(all, EPOCH_ALL);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(epoch_seal(e, each[i], &fd_part), SP_OK);
		CU_ASSERT_EQUAL_FATAL(epoch_open(fd_part, 7, &part, &err), SP_OK);
		check_content(part, each[i]);
		CU_ASSERT(memcmp(e->hash, part->hash, 32) == 0);
		epoch_free(&part);
		(void)close(fd_part);
	}
	CU_ASSERT(all->number == 7 && all->ntests == 0);
	CU_ASSERT(memcmp(e->hash, all->hash, 32) == 0);
	CU_ASSERT(write(fd, "x", 1) < 0 && ftruncate(fd, 0) < 0);
	epoch_free(&e);
	epoch_free(&all);
	CU_ASSERT_PTR_NULL(e);
	epoch_free(&e);
	(void)close(fd);
}

static struct sp_bytes
sealed_bytes(uint8_t **copy_r)
{
	struct epoch *e = read_epoch();
	struct stat st;
	int fd;
	CU_ASSERT_EQUAL_FATAL(epoch_seal(e, EPOCH_ALL, &fd), SP_OK);
	CU_ASSERT_EQUAL_FATAL(fstat(fd, &st), 0);
	*copy_r = mem_alloc((size_t)st.st_size + 1);
	CU_ASSERT_EQUAL_FATAL(pread(fd, *copy_r, (size_t)st.st_size, 0), st.st_size);
	(void)close(fd);
	epoch_free(&e);
	return (struct sp_bytes){ *copy_r, (size_t)st.st_size };
}

static void
test_damaged(void)
{
	uint8_t *copy;
	const char *err;
	struct epoch *e;
	struct sp_bytes whole = sealed_bytes(&copy);
	for (size_t n = 0; n < whole.len; n++) {
		uint8_t *exact = mem_alloc(n + 1);
		memcpy(exact, whole.p, n);
		CU_ASSERT_NOT_EQUAL(epoch_unpack((struct sp_bytes){ exact, n }, 1, &e, &err), SP_OK);
		CU_ASSERT_PTR_NULL(e);
		free(exact);
	}
	CU_ASSERT_EQUAL(epoch_unpack((struct sp_bytes){ copy, whole.len }, 1, &e, &err), SP_OK);
	epoch_free(&e);
	CU_ASSERT_NOT_EQUAL(epoch_unpack((struct sp_bytes){ copy, whole.len + 1 }, 1, &e, &err), SP_OK);
	for (size_t i = 0; i < whole.len; i++) { /* any flipped byte: refused or read, never worse */
		copy[i] ^= 0xff;
		if (epoch_unpack(whole, 1, &e, &err) == SP_OK)
			epoch_free(&e);
		copy[i] ^= 0xff;
	}
	free(copy);
}

static void
test_unsealed(void)
{
	uint8_t *copy;
	const char *err = "";
	struct epoch *e;
	struct sp_bytes whole = sealed_bytes(&copy);
	int fd = memfd_create("t", MFD_ALLOW_SEALING);
	CU_ASSERT_EQUAL_FATAL(write(fd, whole.p, whole.len), (ssize_t)whole.len);
	CU_ASSERT_EQUAL(epoch_open(fd, 1, &e, &err), SP_EPROTO);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	CU_ASSERT_EQUAL(epoch_open(fd, 1, &e, &err), SP_EPROTO); /* still writable */
	CU_ASSERT_STRING_EQUAL(err, "the packed configuration is not a sealed memory file of a fair size");
	(void)close(fd);
	fd = open("/dev/null", O_RDONLY);
	CU_ASSERT_EQUAL(epoch_open(fd, 1, &e, &err), SP_EPROTO);
	(void)close(fd);
	free(copy);
}

static void
refused(const char *tail)
{
	struct epoch *e;
	const char *err = "";
	CU_ASSERT_NOT_EQUAL(epoch_read(in_folder("main.conf"), &e, &err), SP_OK);
	CU_ASSERT_PTR_NULL(e);
	if (strstr(err, tail) == NULL)
		printf("\n  got  %s\n  want …%s\n", err, tail);
	CU_ASSERT_PTR_NOT_NULL(strstr(err, tail));
}

/* Whoever lacks the right is named, with what mends it. */
static void
test_closed(void)
{
	const bool root = geteuid() == 0;
	static const char *const names[] = { "main.conf", "cert.pem", "ca.pem", "jwks.json", "policies/a.lua", "policies/a_test.lua", "policies/b.lua" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		CU_ASSERT_EQUAL(chmod(in_folder(names[i]), 0644), 0);
	CU_ASSERT_EQUAL(chmod(folder, 0755), 0);
	CU_ASSERT_EQUAL(chmod(in_folder("policies"), 0755), 0);
	CU_ASSERT_EQUAL(chmod(in_folder("key.pem"), root ? 0600 : 0), 0);
	if (root)
		CU_ASSERT_EQUAL_FATAL(seteuid(65534), 0);
	refused("/key.pem: Permission denied: the user ");
	refused(" must be able to read it and to enter its folders (chown ");
	if (root)
		CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
	CU_ASSERT_EQUAL(chmod(in_folder("key.pem"), 0600), 0);
}

static void
test_missing(void)
{
	CU_ASSERT_EQUAL(unlink(in_folder("policies/b.lua")), 0);
	refused("/policies/b.lua: No such file or directory");
	put("policies/b.lua", "-- b");
	CU_ASSERT_EQUAL(chmod(in_folder("policies/a_test.lua"), 0666), 0);
	refused("/policies/a_test.lua: anybody may write it: chmod o-w");
	CU_ASSERT_EQUAL(chmod(in_folder("policies/a_test.lua"), 0644), 0);
	CU_ASSERT_EQUAL(unlink(in_folder("key.pem")), 0);
	refused("main.conf:3: can't read the key ");
	CU_ASSERT_TRUE(files_remove(folder));
	refused("main.conf: can't read it: No such file or directory");
}

int
main(void)
{
	CU_TestInfo tests[] = {
		{ "round trip", test_round_trip },
		{ "damaged", test_damaged },
		{ "unsealed", test_unsealed },
		{ "closed files", test_closed },
		{ "missing files", test_missing },
		CU_TEST_INFO_NULL,
	};
	return cunit_main("epoch", tests);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One checked configuration on its way from files, through a sealed memfd, to every process. */
#include <config.h>

#include "epoch.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "log.h"
#include "openssh.h"

static const char magic[4] = { 'S', 'P', 'E', '1' };
enum { ALL_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* The errors outlive the epoch that failed: kept here, one at a time. */
static char last_error[1400];

static int
fail(struct epoch **e, int rc, const char *err, const char **err_r)
{
	size_t n = strnlen(err, sizeof(last_error) - 1);
	memcpy(last_error, err, n);
	last_error[n] = '\0';
	*err_r = last_error;
	epoch_free(e);
	return rc;
}

static struct epoch *
epoch_new(void)
{
	struct epoch *e = mem_alloc(sizeof(*e));
	e->arena = arena_new((size_t)2 * EPOCH_MAX);
	if (e->arena == NULL)
		abort(); /* as mem_alloc() does */
	return e;
}

void
epoch_free(struct epoch **e)
{
	if (*e == NULL)
		return;
	arena_free(&(*e)->arena); /* wipes: there are keys in it */
	free(*e);
	*e = NULL;
}

const struct epoch_file *
epoch_find_file(const struct epoch *e, const char *path)
{
	for (size_t i = 0; i < e->nfiles; i++)
		if (strcmp(e->files[i].path, path) == 0)
			return &e->files[i];
	return NULL;
}

const char *
epoch_public_path(struct arena *a, const char *host_key)
{
	return arena_printf(a, "%s.pub", host_key);
}

static const struct policy_source *
find_source(const struct policy_source *list, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].path, path) == 0)
			return &list[i];
	return NULL;
}

const struct policy_source *
epoch_find_policy(const struct epoch *e, const char *path)
{
	return find_source(e->policies, e->npolicies, path);
}

static const char *
test_path(struct arena *a, const char *policy)
{
	size_t len = strlen(policy);
	if (len > 4 && strcmp(policy + len - 4, ".lua") == 0)
		len -= 4;
	return arena_printf(a, "%.*s_test.lua", (int)len, policy);
}

const struct policy_source *
epoch_find_test(const struct epoch *e, const char *policy_path)
{
	const char *path = test_path(e->arena, policy_path);
	return path == NULL ? NULL : find_source(e->tests, e->ntests, path);
}

/* ---- reading files ---- */

struct gather {
	struct epoch *e;
	const struct conf_block *at; /* the block that wants a file */
	const char **err_r;
};

static int
gather_error(struct gather *g, const char *what, const char *path, const char *why)
{
	const char *file = arena_string(g->e->arena, sp_str(log_quote(sp_str(path))));
	if (file == NULL || strcmp(why, strerror(EACCES)) != 0)
		return conf_error(g->e->arena, g->err_r, g->at->file, g->at->line, "can't read the %s %s: %s", what,
		    file == NULL ? "" : file, why);
	const struct passwd *pw = getpwuid(geteuid());
	const char *user = pw == NULL ? "sallyport" : pw->pw_name;
	return conf_error(g->e->arena, g->err_r, g->at->file, g->at->line,
	    "can't read the %s %s: %s: the user %s must be able to read it and to enter its folders (chown %s %s)", what, file, why, user,
	    user, file);
}

static int
gather_file(struct gather *g, const char *path, unsigned private)
{
	struct epoch *e = g->e;
	const char *why;
	if (path[0] == '\0')
		return SP_OK;
	for (size_t i = 0; i < e->nfiles; i++) {
		if (strcmp(e->files[i].path, path) != 0)
			continue;
		e->files[i].private |= private;
		return SP_OK;
	}
	struct epoch_file *f = &e->files[e->nfiles];
	if (e->nfiles == EPOCH_ITEMS)
		return gather_error(g, "file", path, "there are too many");
	if (conf_file(e->arena, path, EPOCH_FILE, &f->content, &why) != SP_OK)
		return gather_error(g, private != 0 ? "key" : "file", path, why);
	f->path = path;
	f->private = private;
	e->nfiles++;
	return SP_OK;
}

/* For all to see, beside the private key that only workers have; a key in another format than OpenSSH's has none. */
static int
gather_public(struct gather *g, const char *path)
{
	struct epoch *e = g->e;
	struct buffer line = { 0 };
	const char *public = epoch_public_path(e->arena, path);
	const struct epoch_file *key = epoch_find_file(e, path);
	if (key == NULL || public == NULL || epoch_find_file(e, public) != NULL || openssh_public(key->content, &line) != SP_OK) {
		buffer_free(&line);
		return public == NULL ? SP_ENOMEM : SP_OK;
	}
	const char *text = arena_string(e->arena, buffer_bytes(&line));
	buffer_free(&line);
	if (text == NULL || e->nfiles == EPOCH_ITEMS)
		return SP_ENOMEM;
	e->files[e->nfiles++] = (struct epoch_file){ .path = public, .content = sp_str(text) };
	return SP_OK;
}

static int
gather_tls(struct gather *g, const struct tls_settings *tls, unsigned whose)
{
	int rc = gather_file(g, tls->cert, 0);
	return rc == SP_OK ? gather_file(g, tls->key, whose) : rc;
}

static int
gather_policy(struct gather *g, const char *path)
{
	struct epoch *e = g->e;
	const char *why;
	if (epoch_find_policy(e, path) != NULL)
		return SP_OK;
	if (e->npolicies == EPOCH_ITEMS)
		return gather_error(g, "policy", path, "there are too many");
	struct policy_source *p = &e->policies[e->npolicies];
	if (conf_file(e->arena, path, EPOCH_POLICY, &p->text, &why) != SP_OK)
		return gather_error(g, "policy", path, why);
	p->path = path;
	digest_sha256(p->text, p->hash);
	e->npolicies++;
	struct policy_source *t = &e->tests[e->ntests];
	t->path = test_path(e->arena, path);
	int rc = t->path == NULL ? SP_ENOMEM : conf_file(e->arena, t->path, EPOCH_POLICY, &t->text, &why);
	if (rc == SP_EIO) /* there is none */
		return SP_OK;
	if (rc != SP_OK)
		return gather_error(g, "policy test", t->path == NULL ? path : t->path, why);
	digest_sha256(t->text, t->hash);
	e->ntests++;
	return SP_OK;
}

static int
gather_target(struct gather *g, const struct target *t)
{
	g->at = &t->b;
	int rc = gather_file(g, t->tls.ca, 0);
	if (rc == SP_OK)
		rc = gather_file(g, t->tls.crl, 0);
	if (rc == SP_OK)
		rc = gather_file(g, t->login.cert, 0);
	for (size_t i = 0; i < t->policy.n && rc == SP_OK; i++)
		rc = gather_policy(g, t->policy.v[i]);
	return rc;
}

static int
gather_all(struct epoch *e, const char **err_r)
{
	struct gather g = { .e = e, .err_r = err_r };
	int rc = SP_OK;
	e->files = arena_alloc(e->arena, EPOCH_ITEMS * sizeof(*e->files));
	e->policies = arena_alloc(e->arena, EPOCH_ITEMS * sizeof(*e->policies));
	e->tests = arena_alloc(e->arena, EPOCH_ITEMS * sizeof(*e->tests));
	if (e->files == NULL || e->policies == NULL || e->tests == NULL)
		return SP_ENOMEM;
	for (const struct listener *l = e->settings.listeners; l != NULL && rc == SP_OK; l = (const struct listener *)l->b.next) {
		g.at = &l->b;
		rc = gather_tls(&g, &l->tls, EPOCH_WORKERS);
		if (rc == SP_OK)
			rc = gather_file(&g, l->host_key, EPOCH_WORKERS);
		if (rc == SP_OK)
			rc = gather_public(&g, l->host_key);
	}
	const struct conf_node *console = conf_find(e->tree, "console");
	const struct conf_block at = { .file = console == NULL ? "" : console->file, .line = console == NULL ? 0 : console->line };
	g.at = &at;
	if (rc == SP_OK)
		rc = gather_tls(&g, &e->settings.console.tls, EPOCH_CONSOLE);
	if (rc == SP_OK)
		rc = gather_file(&g, e->settings.siem.ca, 0);
	for (const struct target *t = e->settings.targets; t != NULL && rc == SP_OK; t = (const struct target *)t->b.next)
		rc = gather_target(&g, t);
	for (const struct vault *v = e->settings.vaults; v != NULL && rc == SP_OK; v = (const struct vault *)v->b.next) {
		g.at = &v->b;
		rc = v->ca[0] == '\0' ? SP_OK : gather_file(&g, v->ca, 0);
	}
	for (const struct webhook *w = e->settings.webhooks; w != NULL && rc == SP_OK; w = (const struct webhook *)w->b.next) {
		g.at = &w->b;
		rc = w->ca[0] == '\0' ? SP_OK : gather_file(&g, w->ca, 0);
	}
	for (const struct identity *i = e->settings.identities; i != NULL && rc == SP_OK; i = (const struct identity *)i->b.next) {
		g.at = &i->b;
		rc = strncmp(i->oidc.jwks, "file:", 5) != 0 ? SP_OK : gather_file(&g, i->oidc.jwks + strlen("file:"), 0);
		if (rc == SP_OK && i->oidc.ca[0] != '\0')
			rc = gather_file(&g, i->oidc.ca, 0);
		if (rc == SP_OK)
			rc = gather_file(&g, i->saml.metadata, 0);
		if (rc == SP_OK)
			rc = gather_file(&g, i->saml.cert, 0);
		if (rc == SP_OK)
			rc = gather_file(&g, i->certificate.ca, 0);
		if (rc == SP_OK)
			rc = gather_file(&g, i->certificate.crl, 0);
	}
	return rc;
}

/* ---- as bytes ---- */

static void
put_string(struct sp_writer *w, struct sp_bytes b)
{
	if (b.len > UINT32_MAX)
		w->bad = true;
	sp_wr_be32(w, (uint32_t)b.len);
	sp_wr_put(w, b);
}

static int
pack(const struct epoch *e, unsigned whose, struct buffer *out)
{
	struct buffer tree = { .p = NULL };
	int rc = conf_pack(e->tree, &tree);
	if (rc != SP_OK)
		return rc;
	out->max = EPOCH_MAX;
	struct sp_writer w = buffer_writer(out);
	sp_wr_put(&w, (struct sp_bytes){ (const uint8_t *)magic, sizeof(magic) });
	put_string(&w, sp_str(e->settings.folder));
	put_string(&w, buffer_bytes(&tree));
	sp_wr_be32(&w, (uint32_t)e->npolicies);
	for (size_t i = 0; i < e->npolicies; i++) {
		put_string(&w, sp_str(e->policies[i].path));
		put_string(&w, e->policies[i].text);
	}
	sp_wr_be32(&w, (uint32_t)e->nfiles);
	for (size_t i = 0; i < e->nfiles; i++) {
		const struct epoch_file *f = &e->files[i];
		put_string(&w, sp_str(f->path));
		sp_wr_u8(&w, (uint8_t)f->private);
		put_string(&w, f->private != 0 && (f->private & whose) == 0 ? (struct sp_bytes){ NULL, 0 } : f->content);
	}
	rc = buffer_written(out, &w);
	buffer_free(&tree);
	return rc;
}

static int
hash_epoch(struct epoch *e)
{
	struct buffer packed = { .p = NULL };
	int rc = pack(e, 0, &packed);
	if (rc == SP_OK)
		digest_sha256(buffer_bytes(&packed), e->hash);
	buffer_free(&packed);
	return rc;
}

static int
write_all(int fd, struct sp_bytes b)
{
	struct sp_reader r = sp_reader(b);
	while (r.left > 0) {
		ssize_t n = write(fd, r.p, r.left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return SP_EIO;
		(void)sp_rd_take(&r, (size_t)n);
	}
	return SP_OK;
}

int
epoch_seal(const struct epoch *e, unsigned whose, int *fd_r)
{
	struct buffer packed = { .p = NULL };
	*fd_r = -1;
	int rc = pack(e, whose, &packed);
	int fd = rc != SP_OK ? -1 : memfd_create("sallyport-epoch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0)
		rc = write_all(fd, buffer_bytes(&packed));
	else if (rc == SP_OK)
		rc = SP_EIO;
	buffer_free(&packed);
	if (rc == SP_OK && fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0)
		rc = SP_EIO;
	if (rc == SP_OK)
		*fd_r = fd;
	else if (fd >= 0)
		(void)close(fd);
	return rc;
}

/* ---- from bytes ---- */

static struct sp_bytes
take_string(struct sp_reader *r)
{
	uint32_t n = sp_rd_be32(r);
	return sp_rd_take(r, n);
}

/* A path: no NUL inside, not empty. */
static const char *
take_path(struct epoch *e, struct sp_reader *r)
{
	struct sp_bytes b = take_string(r);
	const char *path = b.len == 0 || memchr(b.p, 0, b.len) != NULL ? NULL : arena_string(e->arena, b);
	if (path == NULL)
		r->bad = true;
	return path;
}

/* A copy with a NUL behind it. */
static struct sp_bytes
take_content(struct epoch *e, struct sp_reader *r, size_t max)
{
	struct sp_bytes b = take_string(r);
	char *copy = b.len > max ? NULL : arena_string(e->arena, b);
	if (copy == NULL)
		r->bad = true;
	return (struct sp_bytes){ (const uint8_t *)copy, copy == NULL ? 0 : b.len };
}

static int
take_policies(struct epoch *e, struct sp_reader *r)
{
	uint32_t n = sp_rd_be32(r);
	if (r->bad || n > EPOCH_ITEMS || (e->policies = arena_alloc(e->arena, (n + 1) * sizeof(*e->policies))) == NULL)
		return SP_EPROTO;
	for (; e->npolicies < n && !r->bad; e->npolicies++) {
		struct policy_source *p = &e->policies[e->npolicies];
		p->path = take_path(e, r);
		p->text = take_content(e, r, EPOCH_POLICY);
		if (r->bad || epoch_find_policy(e, p->path) != NULL)
			return SP_EPROTO;
		digest_sha256(p->text, p->hash);
	}
	return r->bad ? SP_EPROTO : SP_OK;
}

static int
take_files(struct epoch *e, struct sp_reader *r)
{
	uint32_t n = sp_rd_be32(r);
	if (r->bad || n > EPOCH_ITEMS || (e->files = arena_alloc(e->arena, (n + 1) * sizeof(*e->files))) == NULL)
		return SP_EPROTO;
	for (; e->nfiles < n && !r->bad; e->nfiles++) {
		struct epoch_file *f = &e->files[e->nfiles];
		f->path = take_path(e, r);
		uint8_t private = sp_rd_u8(r);
		f->content = take_content(e, r, EPOCH_FILE);
		if (r->bad || private > EPOCH_ALL || epoch_find_file(e, f->path) != NULL)
			return SP_EPROTO;
		f->private = private;
	}
	return r->bad ? SP_EPROTO : SP_OK;
}

static int
unpack(struct epoch *e, struct sp_bytes in)
{
	struct sp_reader r = sp_reader(in);
	struct conf_node *tree = NULL;
	if (!sp_bytes_eq(sp_rd_take(&r, sizeof(magic)), (struct sp_bytes){ (const uint8_t *)magic, sizeof(magic) }))
		return SP_EPROTO;
	e->settings.folder = take_path(e, &r);
	struct sp_bytes packed = take_string(&r);
	if (r.bad || conf_unpack(e->arena, packed, &tree) != SP_OK)
		return SP_EPROTO;
	e->tree = tree;
	if (take_policies(e, &r) != SP_OK || take_files(e, &r) != SP_OK)
		return SP_EPROTO;
	return sp_rd_done(&r) ? SP_OK : SP_EPROTO;
}

/* Every file that the settings name came along. */
static int
check_complete(const struct epoch *e)
{
	for (const struct target *t = e->settings.targets; t != NULL; t = (const struct target *)t->b.next)
		for (size_t i = 0; i < t->policy.n; i++)
			if (epoch_find_policy(e, t->policy.v[i]) == NULL)
				return SP_EPROTO;
	return SP_OK;
}

int
epoch_unpack(struct sp_bytes in, uint64_t number, struct epoch **e_r, const char **err_r)
{
	struct epoch *e = epoch_new();
	const char *err = "the packed configuration is malformed";
	*e_r = NULL;
	int rc = in.len > EPOCH_MAX ? SP_ETOOBIG : unpack(e, in);
	if (rc == SP_OK)
		rc = settings_fill(e->arena, e->tree, &e->settings, &err);
	if (rc == SP_OK)
		rc = settings_check(e->arena, &e->settings, &err);
	if (rc == SP_OK)
		rc = check_complete(e);
	if (rc == SP_OK)
		rc = hash_epoch(e);
	if (rc != SP_OK)
		return fail(&e, rc, err, err_r);
	e->number = number;
	*e_r = e;
	return SP_OK;
}

int
epoch_open(int fd, uint64_t number, struct epoch **e_r, const char **err_r)
{
	struct stat st;
	*e_r = NULL;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS || fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > EPOCH_MAX) {
		*err_r = "the packed configuration is not a sealed memory file of a fair size";
		return SP_EPROTO;
	}
	size_t size = (size_t)st.st_size;
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		*err_r = "the packed configuration can't be mapped";
		return SP_EIO;
	}
	int rc = epoch_unpack((struct sp_bytes){ p, size }, number, e_r, err_r);
	(void)munmap(p, size);
	return rc;
}

/* ---- from files ---- */

static const char *
absolute_folder(struct arena *a, const char *conf_file_path)
{
	const char *folder = conf_folder(a, conf_file_path);
	char *real = folder == NULL ? NULL : realpath(folder, NULL);
	const char *copy = real == NULL ? folder : arena_string(a, sp_str(real));
	free(real);
	return copy;
}

int
epoch_read(const char *conf_file_path, struct epoch **e_r, const char **err_r)
{
	struct epoch *e = epoch_new();
	struct conf_node *tree;
	const char *err = "the configuration takes more memory than it may";
	*e_r = NULL;
	int rc = conf_read(e->arena, conf_file_path, &tree, &err);
	if (rc == SP_OK && (e->settings.folder = absolute_folder(e->arena, conf_file_path)) == NULL)
		rc = SP_ENOMEM;
	if (rc == SP_OK) {
		e->tree = tree;
		rc = settings_fill(e->arena, tree, &e->settings, &err);
	}
	if (rc == SP_OK)
		rc = settings_check(e->arena, &e->settings, &err);
	if (rc == SP_OK)
		rc = gather_all(e, &err);
	if (rc == SP_OK)
		rc = hash_epoch(e);
	if (rc != SP_OK)
		return fail(&e, rc, err, err_r);
	*e_r = e;
	return SP_OK;
}

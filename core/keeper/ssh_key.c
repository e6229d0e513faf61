/* SPDX-License-Identifier: Apache-2.0 */
/* See ssh_key.h. */
#include <config.h>

#include "ssh_key.h"

#include <stdio.h>

#include "../base/clock.h"
#include "ssh_certificate.h"

#define LINE_MAX_BYTES 1024
#define KEY_WORD "ssh-ed25519"
#define CERTIFICATE_WORD "ssh-ed25519-cert-v01@openssh.com"

static void
seed_of(const struct keeper *k, uint8_t seed[SSH_SEED_LEN])
{
	_Static_assert(DIGEST_LEN == SSH_SEED_LEN, "a derived key is a seed");
	keys_derive(&k->keys, "ssh user authority", SP_LIT(""), seed);
}

int
ssh_key_read(struct sp_bytes line, struct buffer *key)
{
	char text[LINE_MAX_BYTES];
	const size_t word = strlen(KEY_WORD " ");
	size_t n = 0;
	if (line.len <= word || line.len > sizeof(text) || memcmp(line.p, KEY_WORD " ", word) != 0)
		return SP_EPROTO;
	for (size_t i = word; i < line.len && line.p[i] > ' ' && line.p[i] != '='; i++)
		text[n++] = line.p[i] == '+' ? '-' : line.p[i] == '/' ? '_' : (char)line.p[i];
	int rc = text_unbase64url((struct sp_bytes){ (const uint8_t *)text, n }, key);
	return rc == SP_OK && ssh_certificate_key(buffer_bytes(key)) ? SP_OK : SP_EPROTO;
}

static int
write_line(const char *word, struct sp_bytes blob, const char *comment, struct buffer *out)
{
	int rc = buffer_printf(out, "%s ", word);
	if (rc == SP_OK)
		rc = text_base64(blob, out);
	return rc == SP_OK ? buffer_printf(out, " %s", comment) : rc;
}

int
ssh_key_authority(struct keeper *k, struct buffer *out)
{
	uint8_t seed[SSH_SEED_LEN];
	struct buffer blob = { 0 };
	seed_of(k, seed);
	int rc = ssh_seed_public(seed, &blob);
	mem_wipe(seed, sizeof(seed));
	if (rc == SP_OK)
		rc = write_line(KEY_WORD, buffer_bytes(&blob), "sallyport", out);
	buffer_free(&blob);
	return rc;
}

static const char *
sign(struct keeper *k, const struct ticket_wish *w, const struct ticket_made *made, struct sp_bytes key, struct buffer *line)
{
	const char *why = "the certificate could not be made";
	uint8_t seed[SSH_SEED_LEN];
	char id[300];
	struct buffer blob = { 0 };
	uint64_t now = clock_wall_us() / 1000000, until = made->window / 1000000;
	(void)snprintf(id, sizeof(id), "sallyport %s %.200s", made->id, w->who->principal.user);
	const struct ssh_certificate want = { .key = key, .principal = made->id, .id = id, .from = "", .now = now,
		.life = until > now ? until - now : 1 };
	seed_of(k, seed);
	int rc = ssh_certificate_issue(seed, &want, &blob, &why);
	mem_wipe(seed, sizeof(seed));
	if (rc == SP_OK)
		rc = write_line(CERTIFICATE_WORD, buffer_bytes(&blob), made->id, line);
	buffer_free(&blob);
	return rc == SP_OK ? NULL : why;
}

const char *
ssh_key_certify(struct keeper *k, const struct ticket_wish *w, struct sp_bytes key, struct ticket_made *made_r, struct buffer *certificate_r)
{
	struct ticket_wish wish = *w;
	wish.target = NULL;
	wish.kind = TICKET_KEY;
	wish.span = w->span == 0 ? SSH_KEY_WINDOW : w->span;
	const char *why = ticket_make(k, &wish, made_r);
	mem_wipe(made_r->password, sizeof(made_r->password)); /* nobody has it: only the key counts */
	return why == NULL ? sign(k, &wish, made_r, key, certificate_r) : why;
}

int
ssh_key_check(struct keeper *k, struct sp_bytes certificate, const char *host, struct arena *a, struct ticket *t_r, const char **why_r)
{
	uint8_t seed[SSH_SEED_LEN];
	struct ssh_shown shown = { 0 };
	struct buffer ca = { 0 };
	seed_of(k, seed);
	int rc = ssh_seed_public(seed, &ca);
	mem_wipe(seed, sizeof(seed));
	if (rc == SP_OK)
		rc = ssh_certificate_check(certificate, buffer_bytes(&ca), clock_wall_us() / 1000000, &shown, why_r);
	buffer_free(&ca);
	if (rc != SP_OK)
		return SP_EDENIED;
	const char *id = shown.principal.len < TICKET_ID ? arena_string(a, shown.principal) : NULL;
	*why_r = "its certificate is for another address";
	if (shown.from.len > 0 && !sp_bytes_is(shown.from, host))
		return SP_EDENIED;
	*why_r = "the ticket of its certificate is gone";
	if (id == NULL || ticket_get(k, a, id, t_r) != SP_OK || t_r->kind != TICKET_KEY)
		return SP_EDENIED;
	return SP_OK;
}

/* ---- keys that the configuration lists ---- */

bool
ssh_key_is_plain(struct sp_bytes blob)
{
	return ssh_certificate_key(blob);
}

/* Its name for logs and for the end of it: half of a hash. */
static const char *
key_id(struct sp_bytes blob, char id[33])
{
	uint8_t hash[DIGEST_LEN];
	digest_sha256(blob, hash);
	text_hex((struct sp_bytes){ hash, 16 }, id);
	return id;
}

static bool
is_key(const struct ssh_key *key, struct sp_bytes blob)
{
	struct buffer own = { 0 };
	bool same = ssh_key_read(sp_str(key->key), &own) == SP_OK && mem_equal(buffer_bytes(&own), blob);
	buffer_free(&own);
	return same;
}

int
ssh_key_listed(struct keeper *k, struct sp_bytes blob, struct arena *a, struct verified *v_r, const char **why_r)
{
	static const char *const class[] = { [CLASS_HUMAN] = "human", [CLASS_WORKLOAD] = "workload", [CLASS_AGENT] = "agent" };
	static const char *const methods[] = { "ssh-key" };
	const struct ssh_key *found = NULL;
	char id[33];
	*v_r = (struct verified){ 0 };
	for (const struct ssh_key *i = keeper_settings(k)->ssh_keys; i != NULL; i = (const struct ssh_key *)i->b.next)
		if (is_key(i, blob))
			found = i;
	*why_r = "the public key is in no ssh_key of the configuration";
	if (found == NULL)
		return SP_EDENIED;
	const struct principal p = { .identity = "ssh_key", .issuer = SSH_KEY_ISSUER, .subject = found->b.name,
		.user = found->user, .name = found->user, .person = "", .sponsor = "", .class = class[found->class], .groups = found->groups,
		.methods = { methods, 1 }, .token = key_id(blob, id),
		.expires = clock_wall_us() + found->session * 1000 };
	struct buffer json = { 0 };
	/* the session outlives the configuration that these words are of: it has its own */
	int rc = principal_print(&p, &json);
	if (rc == SP_OK)
		rc = principal_parse(a, buffer_bytes(&json), &v_r->principal);
	buffer_free(&json);
	v_r->token_use = TOKEN_ANY;
	*why_r = "no memory for a session";
	return rc;
}

bool
ssh_key_stands(const struct settings *s, const struct principal *p)
{
	const struct ssh_key *i = s->ssh_keys;
	struct buffer own = { 0 };
	char id[33] = "";
	while (i != NULL && strcmp(i->b.name, p->subject) != 0)
		i = (const struct ssh_key *)i->b.next;
	if (i == NULL || ssh_key_read(sp_str(i->key), &own) != SP_OK) {
		buffer_free(&own);
		return false;
	}
	(void)key_id(buffer_bytes(&own), id);
	buffer_free(&own);
	return strcmp(p->issuer, SSH_KEY_ISSUER) == 0 && strcmp(id, p->token) == 0 && strcmp(i->user, p->user) == 0;
}

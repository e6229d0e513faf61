/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sallyport-saml: reads XML for the keeper, in a process that has no secret, no file and no socket.
 *
 *   job        input                                        answer
 *   check      -                                            entity
 *   metadata   entity acs logout                            xml
 *   request    entity acs logout id relay                   location query
 *   response   entity acs logout request now response       what saml_response() says
 *   logout     entity acs logout now request                what saml_logout() says
 *
 * The identity in a job names a block of the configuration: its metadata came with the epoch.
 */
#include <config.h>

#include "saml.h"

#include "../base/clock.h"
#include "../base/log.h"
#include "helper.h"

#define ARENA (16u << 20)

struct job {
	struct saml_call c;
	const struct saml_provider *p;
	const json_t *input;
	struct saml_self self;
};

static const char *
text_of(const struct job *j, const char *name)
{
	const char *text = json_string_value(json_object_get(j->input, name));
	return text == NULL ? "" : text;
}

static struct saml_wants
wants_of(const struct job *j)
{
	const json_int_t now = json_integer_value(json_object_get(j->input, "now"));
	return (struct saml_wants){ .self = j->self, .request = text_of(j, "request"), .now = now > 0 ? (uint64_t)now : clock_wall_us() };
}

static int
do_check(struct job *j, json_t **out_r)
{
	*out_r = json_pack("{s:s}", "entity", saml_provider_entity(j->p));
	return *out_r == NULL ? SP_ENOMEM : SP_OK;
}

static int
do_metadata(struct job *j, json_t **out_r)
{
	return saml_metadata(&j->c, &j->self, out_r);
}

static int
do_request(struct job *j, json_t **out_r)
{
	return saml_request(&j->c, j->p, &j->self, text_of(j, "id"), text_of(j, "relay"), out_r);
}

static int
do_response(struct job *j, json_t **out_r)
{
	const struct saml_wants w = wants_of(j);
	return saml_response(&j->c, j->p, sp_str(text_of(j, "response")), &w, out_r);
}

static int
do_logout(struct job *j, json_t **out_r)
{
	const struct saml_wants w = { .self = j->self, .request = "", .now = wants_of(j).now };
	return saml_logout(&j->c, j->p, sp_str(text_of(j, "request")), &w, out_r);
}

static const struct {
	const char *what;
	int (*run)(struct job *j, json_t **out_r);
} jobs[] = {
	{ "check", do_check }, { "metadata", do_metadata }, { "request", do_request }, { "response", do_response }, { "logout", do_logout },
};

static const struct identity *
identity_of(const struct helper *h, struct sp_bytes name)
{
	for (const struct identity *i = h->epoch->settings.identities; i != NULL; i = (const struct identity *)i->b.next)
		if (i->saml.metadata[0] != '\0' && sp_bytes_is(name, i->b.name))
			return i;
	return NULL;
}

static struct sp_bytes
file_of(const struct helper *h, const char *path)
{
	const struct epoch_file *f = path[0] == '\0' ? NULL : epoch_find_file(h->epoch, path);
	return f == NULL ? (struct sp_bytes){ NULL, 0 } : f->content;
}

static int
run_job(struct helper *h, struct job *j, const struct message *m, json_t **out_r)
{
	const struct identity *i = identity_of(h, m->f[1].s);
	struct saml_provider *p = NULL;
	*out_r = NULL;
	if (i == NULL)
		return saml_refuse(&j->c, "the configuration here has no such identity");
	int rc = saml_provider_new(&j->c, file_of(h, i->saml.metadata), &p);
	j->p = p;
	j->self = (struct saml_self){ text_of(j, "entity"), text_of(j, "acs"), text_of(j, "logout"), file_of(h, i->saml.cert) };
	for (size_t n = 0; rc == SP_OK && n < sizeof(jobs) / sizeof(*jobs); n++) {
		if (!sp_bytes_is(m->f[0].s, jobs[n].what))
			continue;
		rc = jobs[n].run(j, out_r);
		saml_provider_free(&p);
		return rc;
	}
	saml_provider_free(&p);
	return rc == SP_OK ? saml_refuse(&j->c, "there is no such job") : rc;
}

static int
on_job(struct helper *h, struct message *m)
{
	json_t *input = json_loadb((const char *)m->f[2].s.p, m->f[2].s.len, JSON_REJECT_DUPLICATES, NULL), *answer = NULL;
	struct job j = { .c = { .arena = arena_new(ARENA) }, .input = input };
	int rc = j.c.arena == NULL || input == NULL ? SP_EPROTO : run_job(h, &j, m, &answer);
	char *text = rc == SP_OK ? json_dumps(answer, JSON_COMPACT) : NULL;
	const char *why = rc == SP_OK ? "" : j.c.why == NULL ? "it could not be read" : j.c.why;
	const struct message out = { .type = MSG_SAML_TOLD, .id = m->id, .f = { Q(text != NULL), Z(text == NULL ? "{}" : text), Z(why) } };
	helper_answer(h, &out);
	free(text);
	json_decref(answer);
	json_decref(input);
	arena_free(&j.c.arena);
	return SP_OK;
}

/* What the libraries open, they open now: their first request would stumble over the lock-down. */
static int
on_start(struct helper *h, const char **err_r)
{
	(void)h;
	*err_r = "lasso can't be initialised";
	return saml_start();
}

int
main(int argc, char **argv)
{
	static const struct helper_kind kind = { .role = ROLE_SAML, .start = on_start, .job = on_job };
	int status = helper_main(&kind, argc, argv);
	saml_stop();
	return status;
}

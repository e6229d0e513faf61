/* SPDX-License-Identifier: Apache-2.0 */
/* The API: operations that wait for a person, and the person's word. */
#include <config.h>

#include "api.h"

#include "approval.h"

#define LIST_DEFAULT 200
#define LIST_MAX 1000
#define LOOK_MAX 5000          /* more than may wait */
#define TEXTS_MAX (6u << 20)   /* bytes of one answer */
#define TEXT_SHORT 4096
#define COMMENT_MAX 200

static json_t *
request_json(struct api *a, const struct approval *r)
{
	struct keeper *k = a->k;
	char session[ID_TEXT], hash[2 * DIGEST_LEN + 1];
	uint64_t allow = 0;
	json_t *votes = approval_votes(k, r, &allow);
	text_hex((struct sp_bytes){ r->hash, DIGEST_LEN }, hash);
	json_t *view = json_loads(r->view, JSON_REJECT_DUPLICATES, NULL);
	json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:b,s:b}", "id", r->id, "kind", approval_kind_name(r->kind), "state", approval_state_name(r->state),
	    "session", id_format(r->session, session), "op", (json_int_t)r->op, "user", r->who.user, "target", r->target, "rule", r->rule,
	    "by", r->by, "count", (json_int_t)r->count, "votes", (json_int_t)allow, "hash", hash, "next_run", r->next_run, "reason",
	    r->need_reason);
	(void)json_object_set_new(j, "class", json_string(r->who.class)); /* who agrees to an agent's wish must see that it is one's */
	if (r->who.sponsor[0] != '\0')
		(void)json_object_set_new(j, "sponsor", json_string(r->who.sponsor));
	api_set_time(j, "asked", r->created);
	api_set_time(j, "until", r->expires);
	api_set_time(j, "decided", r->decided);
	/* What was decided is forgotten here: it may hold a password.  The recording has it, with such values hidden. */
	if (json_object_get(view, "text") != NULL)
		(void)json_object_set(j, "text", json_object_get(view, "text"));
	else if (r->kind == APPROVAL_OPERATION)
		(void)json_object_set_new(j, "text", json_sprintf("(sallyport replay %s)", session));
	else
		(void)json_object_set_new(j, "text", json_string(r->reason));
	if (r->state != APPROVAL_WAITING)
		(void)json_object_set_new(j, "outcome", json_string(r->text));
	(void)json_object_set_new(j, "decisions", votes);
	const char *why = approval_may_not_now(k, r, &a->who);
	(void)json_object_set_new(j, "may_decide", json_boolean(why == NULL));
	if (why != NULL)
		(void)json_object_set_new(j, "may_not", json_string(why));
	json_decref(view);
	return j;
}

struct listing {
	struct api *a;
	json_t *list;
	uint64_t limit;
	size_t size; /* of their texts */
};

/* What the caller may see counts, and nothing else does; where long ones fill the answer the others are still in it. */
static int
add_request(void *owner, const struct approval *r)
{
	struct listing *g = owner;
	if (!approval_visible(r, &g->a->who))
		return SP_OK;
	if (json_array_size(g->list) == g->limit)
		return SP_ETOOBIG;
	json_t *j = request_json(g->a, r);
	size_t n = json_string_length(json_object_get(j, "text"));
	if (n > TEXT_SHORT && g->size + n > TEXTS_MAX)
		(void)json_object_set_new(j, "text", json_sprintf("(%zu bytes: sallyport requests %s)", n, r->id));
	else
		g->size += n;
	return json_array_append_new(g->list, j) == 0 ? SP_OK : SP_ENOMEM;
}

int
api_requests(struct api *a)
{
	uint64_t limit = api_number(a, "limit", LIST_DEFAULT);
	struct listing g = { .a = a, .list = json_array(), .limit = limit > LIST_MAX ? LIST_MAX : limit };
	int rc = approval_list(a->k, api_flag(a, "all") ? -1 : APPROVAL_WAITING, LOOK_MAX, add_request, &g);
	api_set(a, "requests", g.list);
	return rc == SP_ETOOBIG ? SP_OK : rc;
}

json_t *
api_request_seen(struct api *a, const char *id)
{
	struct approval r;
	if (approval_get(a->k, a->arena, id, &r) != SP_OK || !approval_visible(&r, &a->who))
		return NULL;
	json_t *j = request_json(a, &r);
	if (json_string_length(json_object_get(j, "text")) > TEXT_SHORT)
		(void)json_object_set_new(j, "text", json_sprintf("(%zu bytes: sallyport requests %s)", json_string_length(json_object_get(j, "text")), r.id));
	return j;
}

static int
find(struct api *a, struct approval *r)
{
	int rc = approval_get(a->k, a->arena, api_text(a, "id"), r);
	if (rc == SP_ETOOBIG)
		return api_refuse(a, 409, "several requests begin like that: give more letters");
	if (rc == SP_EPROTO || (rc == SP_OK && !approval_visible(r, &a->who) && approval_may_not(r, &a->who) != NULL))
		return api_refuse(a, 404, "there is no such request");
	return rc;
}

int
api_request(struct api *a)
{
	struct approval r;
	int rc = find(a, &r);
	if (rc != SP_OK)
		return rc;
	json_decref(a->answer);
	a->answer = request_json(a, &r);
	api_set(a, "view", json_loads(r.view, JSON_REJECT_DUPLICATES, NULL));
	approval_shown(&r, &a->who.principal);
	/* For who decides: to who asks it would tell what nobody allowed them to read. */
	json_t *estimate = identity_same(&a->who.principal, &r.who) ? NULL : approval_estimated(a->k, &r);
	if (estimate != NULL)
		api_set(a, "estimate", estimate);
	return SP_OK;
}

static int
decide(struct api *a, bool allow)
{
	struct approval r;
	int rc = find(a, &r);
	if (rc != SP_OK)
		return rc;
	struct decision d = { .allow = allow, .comment = api_text(a, "comment") };
	if (strlen(d.comment) > COMMENT_MAX)
		return api_refuse(a, 400, "the comment is longer than 200 bytes");
	/* What the approver looked at, when they say so, must be what is decided on. */
	if (!approval_hash_fits(&r, api_text(a, "hash")))
		return api_refuse(a, 409, "the request is for other bytes than the hash says: look at it again");
	approval_decide(a->k, &a->who, &r, &d);
	if (d.status != 200)
		return api_refuse(a, d.status, "%s", d.text);
	api_set(a, "id", json_string(r.id));
	api_set(a, "state", json_string(approval_state_name(d.state)));
	api_set(a, "votes", json_integer((json_int_t)d.votes));
	api_set(a, "count", json_integer((json_int_t)r.count));
	return SP_OK;
}

int
api_approve(struct api *a)
{
	return decide(a, true);
}

int
api_deny(struct api *a)
{
	return decide(a, false);
}

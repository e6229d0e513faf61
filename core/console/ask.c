/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the keeper, and who waits for which answer. */
#include <config.h>

#include <stdlib.h>

#include "../base/log.h"
#include "console.h"

#define ANSWER_SECONDS 30

struct ask {
	struct ask *next;
	struct console *console;
	uint32_t id;
	answer_function answer;
	void *owner;
	struct event *timer;
	bool lost;
};

static struct ask **
ask_find(struct console *c, uint32_t id)
{
	struct ask **at = &c->asks;
	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	return *at == NULL ? NULL : at;
}

static void
ask_remove(struct ask **at)
{
	struct ask *a = *at;
	*at = a->next;
	event_free(a->timer);
	free(a);
}

void
ask_cancel(struct ask **a)
{
	struct ask **at = *a == NULL ? NULL : ask_find((*a)->console, (*a)->id);
	if (at != NULL)
		ask_remove(at);
	*a = NULL;
}

/* The owner may ask anew in its answer(): the question is forgotten first. */
static void
ask_finish(struct ask **at, struct answer *answer)
{
	answer_function tell = (*at)->answer;
	void *owner = (*at)->owner;
	ask_remove(at);
	tell(owner, answer);
}

static void
ask_fail(struct ask **at, unsigned status, const char *json)
{
	struct answer a = { .status = status, .json = sp_str(json), .fd = -1 };
	ask_finish(at, &a);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ask *a = arg, **at = ask_find(a->console, a->id);
	(void)fd, (void)what;
	if (at == NULL)
		return;
	if (a->lost) {
		ask_fail(at, 503, "{\"error\": \"the keeper is away: try again in a few seconds\"}");
		return;
	}
	log_warn("the keeper did not answer within %d s", ANSWER_SECONDS);
	ask_fail(at, 504, "{\"error\": \"the keeper did not answer in time: try again, and see the error log\"}");
}

static void
ask_wait(struct ask *a, int seconds)
{
	const struct timeval after = { seconds, 0 };
	if (event_add(a->timer, &after) != 0)
		log_error("no timer for a question to the keeper");
}

static int
ask_send(struct console *c, const struct question *q, uint32_t id)
{
	if (c->keeper == NULL)
		return SP_EIO;
	char *args = q->args == NULL ? NULL : json_dumps(q->args, JSON_COMPACT);
	const struct message m = {
		.type = MSG_CALL, .id = id,
		.f = { Q(q->connection), S(q->token), Q(q->call), Z(args == NULL ? "{}" : args) },
	};
	int rc = link_send(c->keeper, &m);
	free(args);
	return rc;
}

struct ask *
ask_keeper(struct console *c, const struct question *q, answer_function answer, void *owner)
{
	struct ask *a = mem_alloc(sizeof(*a));
	do
		c->last_ask++;
	while (c->last_ask == 0 || ask_find(c, c->last_ask) != NULL);
	*a = (struct ask){ .next = c->asks, .console = c, .id = c->last_ask, .answer = answer, .owner = owner };
	a->timer = event_new(c->role.base, -1, 0, on_timer, a);
	if (a->timer == NULL) {
		free(a);
		return NULL;
	}
	c->asks = a;
	a->lost = ask_send(c, q, a->id) != SP_OK;
	ask_wait(a, a->lost ? 0 : ANSWER_SECONDS);
	return a;
}

int
ask_answered(struct console *c, struct message *m)
{
	struct ask **at = ask_find(c, m->id);
	if (at == NULL)
		return SP_OK; /* its caller left, or it came too late */
	struct answer a = { .status = (unsigned)m->f[0].q, .json = m->f[1].s, .fd = m->fd[0] };
	if (m->f[0].q < 200 || m->f[0].q > 599)
		return SP_EPROTO;
	m->fd[0] = -1;
	ask_finish(at, &a);
	if (a.fd >= 0)
		evutil_closesocket(a.fd);
	return SP_OK;
}

void
ask_lost(struct console *c)
{
	for (struct ask *a = c->asks; a != NULL; a = a->next) {
		a->lost = true;
		ask_wait(a, 0);
	}
}

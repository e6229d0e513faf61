/* SPDX-License-Identifier: Apache-2.0 */
/* Vault's API by libcurl: https, no redirect, no proxy, small answers, a deadline. */
#include <config.h>

#include "lend_vault.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/address.h"
#include "../base/clock.h"
#include "../base/log.h"
#include "../base/settings.h"

#define ANSWER_MAX 65536
#define TOKEN_MAX 8192

static CURL *curl; /* made before the lock-down: it needs a pair of sockets */

struct asked {
	const json_t *job;
	struct sp_bytes token;
	struct buffer answer;
	char why[300];
	long status;
};

int
vault_open(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (curl = curl_easy_init()) == NULL)
		return SP_ENOMEM;
	(void)curl_easy_setopt(curl, CURLOPT_URL, "nothing:");
	(void)curl_easy_perform(curl);
	return SP_OK;
}

static const char *
text_of(const json_t *job, const char *name)
{
	const char *text = json_string_value(json_object_get(job, name));
	return text == NULL ? "" : text;
}

static size_t
take(char *p, size_t size, size_t n, void *owner)
{
	struct asked *q = owner;
	return buffer_put(&q->answer, (struct sp_bytes){ (const uint8_t *)p, size * n }) == SP_OK ? size * n : 0;
}

/* "HOST:PORT:ADDRESS": libcurl would want a thread to resolve it, and go wherever it leads (ID9). */
static int
pin(const char *server, struct curl_slist **out)
{
	struct hostport h;
	const char *why, *host = strstr(server, "://");
	char address[ADDRESS_DIGITS], text[sizeof(h.host) + ADDRESS_DIGITS + 16];
	int rc = host == NULL ? SP_EIO : address_find(host + 3, &h, address, &why);
	if (rc == SP_EDENIED)
		log_warn("vault %s is not asked: %s", server, why);
	if (rc != SP_OK)
		return rc;
	(void)snprintf(text, sizeof(text), "%s:%u:%s", h.host, h.port, address);
	*out = curl_slist_append(NULL, text);
	return *out == NULL ? SP_EIO : SP_OK;
}

static void
wipe_headers(struct curl_slist *list)
{
	for (struct curl_slist *l = list; l != NULL; l = l->next)
		mem_wipe(l->data, strlen(l->data));
	curl_slist_free_all(list);
}

static struct curl_slist *
headers_of(const struct asked *q, bool body)
{
	char text[TOKEN_MAX + 32];
	(void)snprintf(text, sizeof(text), "X-Vault-Token: %.*s", (int)q->token.len, (const char *)q->token.p);
	struct curl_slist *list = curl_slist_append(NULL, text), *more = list;
	mem_wipe(text, sizeof(text));
	if (more != NULL && text_of(q->job, "namespace")[0] != '\0') {
		(void)snprintf(text, sizeof(text), "X-Vault-Namespace: %.200s", text_of(q->job, "namespace"));
		more = curl_slist_append(list, text);
	}
	if (more != NULL && body)
		more = curl_slist_append(list, "Content-Type: application/json");
	return list;
}

/* One request; q->why says what went wrong. */
static int
perform(struct asked *q, const char *url, struct curl_slist *headers, struct curl_slist *pins, const char *body)
{
	const char *ca = text_of(q->job, "ca"), *scheme = strncmp(url, "https:", 6) == 0 ? "https" : "http";
	int fd = ca[0] == '\0' ? -1 : memfd_create("authorities", MFD_CLOEXEC);
	char path[64] = "/etc/ssl/certs/ca-certificates.crt";
	if (ca[0] != '\0' && (fd < 0 || write(fd, ca, strlen(ca)) != (ssize_t)strlen(ca)))
		return SP_EIO;
	if (fd >= 0)
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	curl_easy_reset(curl);
	char error[CURL_ERROR_SIZE] = "";
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)json_integer_value(json_object_get(q->job, "within")));
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, q);
	bool set = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK && curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, scheme) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_CAINFO, path) == CURLE_OK && curl_easy_setopt(curl, CURLOPT_RESOLVE, pins) == CURLE_OK &&
	    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
	if (set && body != NULL)
		set = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) == CURLE_OK && curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT") == CURLE_OK;
	CURLcode rc = set ? curl_easy_perform(curl) : CURLE_OUT_OF_MEMORY;
	if (rc == CURLE_OK)
		(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &q->status);
	else
		(void)snprintf(q->why, sizeof(q->why), "%s", error[0] == '\0' ? curl_easy_strerror(rc) : error);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	if (fd >= 0)
		(void)close(fd);
	return rc == CURLE_OK ? SP_OK : SP_EIO;
}

/* What Vault says of a refusal, in its own words. */
static void
explain(struct asked *q)
{
	struct sp_bytes b = buffer_bytes(&q->answer);
	json_t *said = json_loadb((const char *)b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	const char *first = json_string_value(json_array_get(json_object_get(said, "errors"), 0));
	(void)snprintf(q->why, sizeof(q->why), "status %ld%s%.200s", q->status, first == NULL ? "" : ": ", first == NULL ? "" : first);
	json_decref(said);
}

/* body: a reference of the callee's, NULL for GET.  SP_OK: the answer was 2xx. */
static int
ask(struct asked *q, const char *path, json_t *body)
{
	char url[1024];
	struct curl_slist *pins = NULL;
	char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
	q->answer.max = ANSWER_MAX;
	(void)snprintf(url, sizeof(url), "%s/v1/%s", text_of(q->job, "server"), path);
	(void)snprintf(q->why, sizeof(q->why), "the vault's name is not known, or there is no memory");
	int rc = q->token.len > TOKEN_MAX || (body != NULL && text == NULL) ? SP_ETOOBIG : pin(text_of(q->job, "server"), &pins);
	struct curl_slist *headers = rc == SP_OK ? headers_of(q, body != NULL) : NULL;
	if (rc == SP_OK)
		rc = headers == NULL ? SP_ENOMEM : perform(q, url, headers, pins, text);
	if (rc == SP_OK && (q->status < 200 || q->status > 299)) {
		explain(q);
		rc = SP_EDENIED;
	}
	wipe_headers(headers);
	curl_slist_free_all(pins);
	free(text);
	json_decref(body);
	return rc;
}

static json_t *
answer_of(struct asked *q)
{
	struct sp_bytes b = buffer_bytes(&q->answer);
	json_t *said = json_loadb((const char *)b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	(void)snprintf(q->why, sizeof(q->why), "the vault's answer is not what its API says");
	return said;
}

/* ---- the jobs ---- */

static void
lent(struct helper *h, const struct message *m, bool ok, const struct field more[4])
{
	const struct message out = { .type = MSG_LENT, .id = m->id, .f = { m->f[0], Q(ok), more[0], more[1], more[2], more[3] } };
	helper_answer(h, &out);
}

static uint64_t
end_of(const json_t *said)
{
	json_int_t seconds = json_integer_value(json_object_get(said, "lease_duration"));
	return seconds <= 0 ? 0 : clock_wall_us() + (uint64_t)seconds * 1000000;
}

static void
read_secret(struct helper *h, struct asked *q, const struct message *m, bool dynamic)
{
	json_t *said = ask(q, text_of(q->job, "path"), NULL) == SP_OK ? answer_of(q) : NULL, *data = json_object_get(said, "data");
	const char *user = dynamic ? text_of(data, "username") : text_of(q->job, "user");
	const char *password = dynamic ? text_of(data, "password") : text_of(json_object_get(data, "data"), text_of(q->job, "field"));
	bool ok = said != NULL && user[0] != '\0' && password[0] != '\0';
	if (ok)
		lent(h, m, true, (const struct field[]){ Z(user), Z(password), Q(dynamic ? end_of(said) : 0), Z(dynamic ? text_of(said, "lease_id") : "") });
	else
		lent(h, m, false, (const struct field[]){ Z(""), Z(""), Q(0), Z(q->why) });
	json_decref(said);
}

static void
renew(struct helper *h, struct asked *q, const struct message *m)
{
	json_t *body = json_pack("{ss}", "lease_id", text_of(q->job, "lease"));
	json_t *said = ask(q, "sys/leases/renew", body) == SP_OK ? answer_of(q) : NULL;
	lent(h, m, said != NULL, (const struct field[]){ Z(""), Z(""), Q(end_of(said)), Z(said != NULL ? "" : q->why) });
	json_decref(said);
}

static void
give_back(struct helper *h, struct asked *q, const struct message *m)
{
	const char *lease = text_of(q->job, "lease");
	/* A lease that is not there has ended, which is what is wanted. */
	bool ok = lease[0] == '\0' || ask(q, "sys/leases/revoke", json_pack("{ss}", "lease_id", lease)) == SP_OK || q->status == 400 || q->status == 404;
	const struct message out = { .type = MSG_RETURNED, .id = m->id, .f = { m->f[0], Q(ok), Z(ok ? "" : q->why), m->f[2] } };
	helper_answer(h, &out);
}

bool
vault_job(struct helper *h, const json_t *job, const struct message *m, struct sp_bytes token)
{
	struct asked q = { .job = job, .token = token };
	const char *what = text_of(job, "what");
	bool kv = strcmp(what, "kv") == 0, dynamic = strcmp(what, "dynamic") == 0, again = strcmp(what, "renew") == 0;
	if (!kv && !dynamic && !again)
		return false;
	if (m->type == MSG_RETURN)
		give_back(h, &q, m);
	else if (again)
		renew(h, &q, m);
	else
		read_secret(h, &q, m, dynamic);
	buffer_free(&q.answer);
	return true;
}

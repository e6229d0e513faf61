/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the fetch helper: names by evdns, requests by libcurl's multi interface, both on the process's loop. */
#include <config.h>

#include "fetch.h"

#include <curl/curl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/epoch.h"
#include "../base/log.h"
#include "../base/url.h"
#include "fetch_address.h"

#define RUNNING_MAX 16
#define WAITING_MAX 256
#define WITHIN_MAX (60u * 1000)
#define MOST_MAX (4u << 20)
#define ADDRESSES_MAX 8

struct job {
	struct job *next;
	struct fetch *fetch;
	uint32_t id;
	struct url where;
	char *url;
	struct buffer body, answer;
	struct curl_slist *headers, *pins;
	size_t most;
	bool post, named, running;
	const char *refused;              /* what the address was refused for */
	struct event *deadline;
	struct evdns_getaddrinfo_request *name;
	CURL *curl;                       /* in the multi handle */
	int ca;                           /* the authorities, in memory; -1: the system's */
	char error[CURL_ERROR_SIZE];
};

struct fetch {
	struct helper *helper;
	struct evdns_base *dns;
	CURLM *multi;
	struct event *timer;
	struct job *jobs; /* oldest first */
	size_t running, waiting;
};

static void start_waiting(struct fetch *f);

/* ---- the end of a job ---- */

static void
wipe(struct buffer *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->cap);
	buffer_free(b);
}

static void
job_free(struct job *j)
{
	struct fetch *f = j->fetch;
	for (struct job **at = &f->jobs; *at != NULL; at = &(*at)->next) {
		if (*at == j) {
			*at = j->next;
			break;
		}
	}
	if (j->running)
		f->running--;
	else
		f->waiting--;
	if (j->curl != NULL) {
		(void)curl_multi_remove_handle(f->multi, j->curl);
		curl_easy_cleanup(j->curl);
	}
	if (j->name != NULL)
		evdns_getaddrinfo_cancel(j->name); /* calls back later, with EVUTIL_EAI_CANCEL and nothing of ours */
	if (j->deadline != NULL)
		event_free(j->deadline);
	for (struct curl_slist *h = j->headers; h != NULL; h = h->next)
		mem_wipe(h->data, strlen(h->data)); /* Authorization */
	curl_slist_free_all(j->headers);
	curl_slist_free_all(j->pins);
	if (j->ca >= 0)
		(void)close(j->ca);
	wipe(&j->body);
	wipe(&j->answer);
	free(j->url);
	free(j);
}

/* For a log: what follows the host may be a secret. */
static const char *
origin(const char *url)
{
	const char *host = strstr(url, "://");
	size_t n = host == NULL ? 0 : (size_t)(host - url) + 3;
	n += host == NULL ? 0 : strcspn(url + n, "/?");
	return log_quote((struct sp_bytes){ (const uint8_t *)url, n });
}

static void
tell(struct job *j, unsigned status, const char *type, const char *why)
{
	struct helper *h = j->fetch->helper;
	const struct message m = { .type = MSG_OUTSIDE_TOLD, .id = j->id,
		.f = { Q(status), Z(type), S(status == 0 ? (struct sp_bytes){ 0 } : buffer_bytes(&j->answer)), Z(why) } };
	if (status == 0)
		log_info("%s was not asked, or did not answer: %s", origin(j->url), why);
	helper_answer(h, &m);
	struct fetch *f = j->fetch;
	job_free(j);
	start_waiting(f);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct job *j = arg;
	(void)fd, (void)what;
	tell(j, 0, "", j->running ? "it did not answer in time" : "too much else is asked for");
}

/* ---- what curl asks of us ---- */

static size_t
on_body(char *data, size_t size, size_t n, void *owner)
{
	struct job *j = owner;
	if (size * n > j->most - j->answer.len) {
		j->refused = "its answer is too large";
		return 0;
	}
	return buffer_put(&j->answer, (struct sp_bytes){ (const uint8_t *)data, size * n }) == SP_OK ? size * n : 0;
}

static bool
may_reach(struct job *j, const struct sockaddr *address)
{
	enum reach reach = address_reach(address);
	if (reach == REACH_PUBLIC || (reach == REACH_NAMED && j->named))
		return true;
	j->refused = reach == REACH_NEVER ? "its address is link-local, multicast or none: nothing is asked there"
	    : "its address is private, and the configuration does not name that host";
	return false;
}

static curl_socket_t
on_open(void *owner, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct job *j = owner;
	if (purpose != CURLSOCKTYPE_IPCXN || (a->family != AF_INET && a->family != AF_INET6) || !may_reach(j, &a->addr))
		return CURL_SOCKET_BAD;
	return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

static void
take_finished(struct fetch *f)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
		struct job *j = NULL;
		long status = 0;
		char *type = NULL, text[128];
		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&j);
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_CONTENT_TYPE, &type);
		(void)snprintf(text, sizeof(text), "%s", type == NULL ? "" : type);
		CURLcode rc = m->data.result;
		if (rc == CURLE_OK && status >= 100 && status <= 599)
			tell(j, (unsigned)status, text, "");
		else
			tell(j, 0, "", j->refused != NULL ? j->refused : j->error[0] != '\0' ? j->error : curl_easy_strerror(rc));
	}
}

static void
on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *f = arg;
	int running, did = ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0);
	(void)curl_multi_socket_action(f->multi, fd, did, &running);
	take_finished(f);
}

static int
on_socket(CURL *curl, curl_socket_t fd, int what, void *owner, void *of_socket)
{
	struct fetch *f = owner;
	struct event *e = of_socket;
	(void)curl;
	if (e != NULL)
		event_free(e);
	e = NULL;
	if (what != CURL_POLL_REMOVE) {
		short want = (short)((what != CURL_POLL_OUT ? EV_READ : 0) | (what != CURL_POLL_IN ? EV_WRITE : 0) | EV_PERSIST);
		e = event_new(f->helper->process.base, fd, want, on_socket_event, f);
		if (e == NULL || event_add(e, NULL) != 0)
			log_error("no event for a request");
	}
	(void)curl_multi_assign(f->multi, fd, e);
	return 0;
}

static void
on_timer_event(evutil_socket_t fd, short what, void *arg)
{
	struct fetch *f = arg;
	int running;
	(void)fd, (void)what;
	(void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(f);
}

static int
on_timer(CURLM *multi, long ms, void *owner)
{
	struct fetch *f = owner;
	(void)multi;
	if (ms < 0)
		return event_del(f->timer);
	const struct timeval after = { ms / 1000, ms % 1000 * 1000 };
	return event_add(f->timer, &after);
}

/* ---- asking ---- */

#define SET(option, value) rc = rc == CURLE_OK ? curl_easy_setopt(c, option, value) : rc

/* What can be tried against us by a server is off. */
static CURLcode
set_bounds(CURL *c, const struct job *j)
{
	CURLcode rc = CURLE_OK;
	SET(CURLOPT_PROTOCOLS_STR, j->where.tls ? "https" : "http");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)j->most);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	return rc;
}

static CURLcode
set_request(CURL *c, struct job *j)
{
	CURLcode rc = CURLE_OK;
	char ca[48];
	SET(CURLOPT_URL, j->url);
	SET(CURLOPT_USERAGENT, "sallyport");
	SET(CURLOPT_HTTPHEADER, j->headers);
	SET(CURLOPT_RESOLVE, j->pins);
	SET(CURLOPT_PRIVATE, (char *)j);
	SET(CURLOPT_ERRORBUFFER, j->error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, j);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_OPENSOCKETDATA, j);
	if (j->ca >= 0) {
		(void)snprintf(ca, sizeof(ca), "/proc/self/fd/%d", j->ca);
		SET(CURLOPT_CAINFO, ca);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (j->post) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)j->body.len);
		SET(CURLOPT_POSTFIELDS, j->body.len == 0 ? "" : (const char *)buffer_bytes(&j->body).p);
	}
	return rc;
}

static void
ask(struct job *j)
{
	struct fetch *f = j->fetch;
	CURL *c = curl_easy_init();
	if (c == NULL || set_bounds(c, j) != CURLE_OK || set_request(c, j) != CURLE_OK || curl_multi_add_handle(f->multi, c) != CURLM_OK) {
		curl_easy_cleanup(c);
		tell(j, 0, "", "the request could not be made");
		return;
	}
	j->curl = c;
}

/* ---- names ---- */

/* "HOST:PORT:ADDRESS,…" of those that may be asked. */
static bool
pin(struct job *j, const struct evutil_addrinfo *list)
{
	struct buffer text = { 0 };
	unsigned n = 0;
	int rc = buffer_printf(&text, "%s:%u:", j->where.at.host, (unsigned)j->where.at.port);
	for (; rc == SP_OK && list != NULL && n < ADDRESSES_MAX; list = list->ai_next) {
		char address[64];
		bool v6 = list->ai_family == AF_INET6;
		const void *p = v6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)list->ai_addr)->sin6_addr
		    : (const void *)&((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr;
		if ((!v6 && list->ai_family != AF_INET) || !may_reach(j, list->ai_addr) ||
		    evutil_inet_ntop(list->ai_family, p, address, sizeof(address)) == NULL)
			continue;
		rc = buffer_printf(&text, v6 ? "%s[%s]" : "%s%s", n++ == 0 ? "" : ",", address);
	}
	if (rc == SP_OK && n > 0 && buffer_put(&text, (struct sp_bytes){ (const uint8_t *)"", 1 }) == SP_OK) {
		j->pins = curl_slist_append(NULL, (const char *)buffer_bytes(&text).p);
		j->refused = NULL;
	}
	buffer_free(&text);
	return j->pins != NULL;
}

static void
on_resolved(int rc, struct evutil_addrinfo *list, void *arg)
{
	struct job *j = arg;
	if (rc == EVUTIL_EAI_CANCEL)
		return;
	j->name = NULL;
	bool good = rc == 0 && pin(j, list);
	if (list != NULL)
		evutil_freeaddrinfo(list);
	if (good)
		ask(j);
	else
		tell(j, 0, "", rc != 0 ? evutil_gai_strerror(rc) : j->refused != NULL ? j->refused : "it has no address");
}

static void
start(struct job *j)
{
	struct fetch *f = j->fetch;
	char port[8];
	j->running = true;
	f->running++;
	f->waiting--;
	if (j->where.at.literal) {
		ask(j);
		return;
	}
	if (f->dns == NULL) {
		tell(j, 0, "", "names cannot be resolved here: give an address, or restart with a working /etc/resolv.conf");
		return;
	}
	const struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP,
		.ai_flags = EVUTIL_AI_NUMERICSERV };
	(void)snprintf(port, sizeof(port), "%u", (unsigned)j->where.at.port);
	struct evdns_getaddrinfo_request *r = evdns_getaddrinfo(f->dns, j->where.at.host, port, &hints, on_resolved, j);
	if (r != NULL) /* else j was told, and may be gone */
		j->name = r;
}

static void
start_waiting(struct fetch *f)
{
	for (struct job *j = f->jobs; j != NULL && f->running < RUNNING_MAX;) {
		struct job *next = j->next;
		if (!j->running) {
			start(j);
			next = f->jobs; /* what was told meanwhile is not in the list any more */
		}
		j = next;
	}
}

/* ---- jobs ---- */

static int
take_headers(struct job *j, struct sp_bytes lines)
{
	struct sp_reader r = sp_reader(lines);
	while (r.left > 0) {
		char text[4096];
		const uint8_t *end = memchr(r.p, '\n', r.left);
		struct sp_bytes line = sp_rd_take(&r, end == NULL ? r.left : (size_t)(end - r.p));
		if (end != NULL)
			(void)sp_rd_u8(&r);
		if (line.len == 0 || line.len >= sizeof(text) || memchr(line.p, ':', line.len) == NULL || memchr(line.p, '\r', line.len) != NULL ||
		    memchr(line.p, 0, line.len) != NULL)
			return SP_EPROTO;
		(void)snprintf(text, sizeof(text), "%.*s", (int)line.len, (const char *)line.p);
		struct curl_slist *more = curl_slist_append(j->headers, text);
		mem_wipe(text, sizeof(text));
		if (more == NULL)
			return SP_ENOMEM;
		j->headers = more;
	}
	return SP_OK;
}

/* The epoch's copy, as a file that is nowhere but in this process. */
static int
take_authorities(struct job *j, struct sp_bytes path)
{
	if (path.len == 0)
		return SP_OK;
	char *name = mem_string(path);
	const struct epoch_file *file = epoch_find_file(j->fetch->helper->epoch, name);
	free(name);
	if (file == NULL)
		return SP_ECONF;
	j->ca = memfd_create("authorities", MFD_CLOEXEC);
	struct sp_reader r = sp_reader(file->content);
	while (j->ca >= 0 && r.left > 0) {
		ssize_t n = write(j->ca, r.p, r.left);
		if (n <= 0)
			return SP_EIO;
		(void)sp_rd_take(&r, (size_t)n);
	}
	return j->ca < 0 ? SP_EIO : SP_OK;
}

static const char *
odd_place(struct job *j)
{
	bool insecure;
	if (strlen(j->url) > URL_MAX || url_parse(j->url, &j->where) != SP_OK)
		return "it is no https URL";
	j->named = fetch_named(&j->fetch->helper->epoch->settings, j->url, &insecure);
	if (!url_fits(j->url, insecure))
		return "it is not https";
	return NULL;
}

static const char *
take_job(struct job *j, const struct message *m)
{
	bool get = sp_bytes_is(m->f[0].s, "GET");
	j->post = sp_bytes_is(m->f[0].s, "POST");
	if ((!get && !j->post) || memchr(m->f[1].s.p, 0, m->f[1].s.len) != NULL)
		return "it is no GET and no POST, or of no URL";
	const char *odd = odd_place(j);
	if (odd != NULL)
		return odd;
	if (take_headers(j, m->f[2].s) != SP_OK || buffer_put(&j->body, m->f[3].s) != SP_OK)
		return "its header is odd";
	return take_authorities(j, m->f[4].s) == SP_OK ? NULL : "the authorities to trust are not in the configuration";
}

static int
on_job(struct helper *h, struct message *m)
{
	struct fetch *f = h->own;
	struct job *j = mem_alloc(sizeof(*j)), **at = &f->jobs;
	*j = (struct job){ .fetch = f, .id = m->id, .ca = -1, .url = mem_string(m->f[1].s), .where = { .path = "" } };
	uint64_t within = m->f[5].q < WITHIN_MAX ? m->f[5].q : WITHIN_MAX;
	j->most = m->f[6].q < MOST_MAX ? (size_t)m->f[6].q : MOST_MAX;
	while (*at != NULL)
		at = &(*at)->next;
	*at = j;
	f->waiting++;
	const char *odd = f->waiting > WAITING_MAX ? "too much else is asked for" : take_job(j, m);
	const struct timeval end = { (time_t)(within / 1000), (suseconds_t)(within % 1000 * 1000) };
	j->deadline = evtimer_new(h->process.base, on_deadline, j);
	if (odd == NULL && (j->deadline == NULL || event_add(j->deadline, &end) != 0))
		odd = "no timer";
	if (odd != NULL)
		tell(j, 0, "", odd);
	else
		start_waiting(f);
	return SP_OK;
}

static void
void_jobs(struct helper *h)
{
	struct fetch *f = h->own;
	while (f != NULL && f->jobs != NULL)
		job_free(f->jobs);
}

static int
on_start(struct helper *h, const char **err_r)
{
	static struct fetch fetch;
	struct event_base *base = h->process.base;
	h->own = &fetch;
	*err_r = "libcurl does not start";
	fetch = (struct fetch){ .helper = h };
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (fetch.multi = curl_multi_init()) == NULL)
		return SP_EIO;
	fetch.timer = evtimer_new(base, on_timer_event, &fetch);
	/* Before the lock-down: it reads /etc/resolv.conf and /etc/hosts. */
	fetch.dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (fetch.timer == NULL || curl_multi_setopt(fetch.multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(fetch.multi, CURLMOPT_SOCKETDATA, &fetch) != CURLM_OK ||
	    curl_multi_setopt(fetch.multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
	    curl_multi_setopt(fetch.multi, CURLMOPT_TIMERDATA, &fetch) != CURLM_OK)
		return SP_EIO;
	return SP_OK;
}

static void
on_close(struct helper *h)
{
	struct fetch *f = h->own;
	if (f == NULL)
		return;
	if (f->dns != NULL)
		evdns_base_free(f->dns, 0);
	if (f->multi != NULL)
		(void)curl_multi_cleanup(f->multi);
	if (f->timer != NULL)
		event_free(f->timer);
	*f = (struct fetch){ 0 };
	curl_global_cleanup();
}

/* The system's authorities: where Debian and others keep them. */
static const char *const authorities[] = { "/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust", "/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates", NULL };
static const struct sandbox_paths paths = { authorities, NULL };

const struct helper_kind fetch_kind = {
	.role = ROLE_FETCH, .paths = &paths, .start = on_start, .job = on_job, .void_jobs = void_jobs, .close = on_close,
};

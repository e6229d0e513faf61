/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that the keeper may read: of the configuration, and of every secret that it names. */
#include <config.h>

#include "settings.h"

#include <stdlib.h>

#include "memory.h"

static void
add_folder(char **list, size_t *n, size_t max, char *folder)
{
	for (size_t i = 0; i < *n; i++) {
		if (strcmp(list[i], folder) == 0) {
			free(folder);
			return;
		}
	}
	if (*n == max)
		free(folder);
	else
		list[(*n)++] = folder;
}

static void
add_folder_of(char **list, size_t *n, size_t max, const char *where)
{
	if (strncmp(where, "file:/", 6) != 0)
		return;
	const char *path = where + 5, *slash = strrchr(path, '/');
	add_folder(list, n, max, mem_string((struct sp_bytes){ (const uint8_t *)path, slash == path ? 1 : (size_t)(slash - path) }));
}

size_t
settings_secret_folders(const struct settings *s, char **folder_r, size_t max)
{
	size_t n = 0;
	if (max > 0 && s->folder != NULL && s->folder[0] == '/')
		folder_r[n++] = mem_string(sp_str(s->folder));
	if (s->secrets.key[0] != '\0') {
		add_folder_of(folder_r, &n, max, s->secrets.key);
		if (s->secrets.folder[0] == '/')
			add_folder(folder_r, &n, max, mem_string(sp_str(s->secrets.folder)));
	}
	add_folder_of(folder_r, &n, max, s->store.secret);
	for (const struct identity *i = s->identities; i != NULL; i = (const struct identity *)i->b.next)
		add_folder_of(folder_r, &n, max, i->saml.key);
	for (const struct target *t = s->targets; t != NULL; t = (const struct target *)t->b.next) {
		const char *const files[] = { t->login.secret, t->login.key, t->login.ca, t->catalogue.secret, t->admin.secret, t->estimate.secret };
		for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
			add_folder_of(folder_r, &n, max, files[i]);
	}
	for (const struct identity *i = s->identities; i != NULL; i = (const struct identity *)i->b.next)
		add_folder_of(folder_r, &n, max, i->oidc.secret);
	for (const struct vault *v = s->vaults; v != NULL; v = (const struct vault *)v->b.next)
		add_folder_of(folder_r, &n, max, v->token);
	for (const struct webhook *w = s->webhooks; w != NULL; w = (const struct webhook *)w->b.next) {
		add_folder_of(folder_r, &n, max, w->url);
		add_folder_of(folder_r, &n, max, w->secret);
		add_folder_of(folder_r, &n, max, w->signing);
	}
	return n;
}

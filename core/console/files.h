/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console's pages, as web/ built them and `make install` put them under share/sallyport/console.
 *
 * All of them are read once, before the lock-down, and served from memory: a request opens nothing, so no
 * path of it can lead anywhere, and what is replaced on disk never mixes with what is being served.
 */
#ifndef SALLYPORT_CONSOLE_FILES_H
#define SALLYPORT_CONSOLE_FILES_H

#include "../base/memory.h"

#define FILES_ETAG 24

struct file {
	char *path;            /* as it is asked for: "/assets/console-3F2A.js" */
	const char *type;
	struct sp_bytes body, gzip; /* gzip: PATH.gz, or empty */
	char etag[FILES_ETAG]; /* with its quotes */
	bool lasting;          /* its name changes with its content */
};

struct files;

/*
 * Everything in `folder`, and in folders right below it, that has a type browsers know.  SP_OK and NULL: there is no index.html.
 * SP_ECONF: there is, but it must not be served; *err_r says why.
 */
int files_read(const char *folder, struct files **f_r, const char **err_r) SP_MUST;
/* Where it is: installed, or beside this program in a build tree. */
void files_folder(char *out, size_t cap);
void files_free(struct files **f);
/* NULL: there is no such file. */
const struct file *files_find(const struct files *f, struct sp_bytes path);

#endif

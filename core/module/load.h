/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading protocol modules: trust is decided before dlopen(), since constructors run inside it.
 *
 * A module file counts as trusted when root (or who owns this very program) owns it and its folder,
 * nobody else can write either, and no folder above lets others replace them; its ABI version is
 * read from an ELF note, its name must equal the name asked for, and no two modules may share one.
 *
 * A program that loads modules links core/libmodule.la with -Wl,--export-dynamic.  Without
 * sessions of its own (check, command) it adds $(NO_SESSION) to its sources, so that the modules'
 * calls to the core resolve.
 */
#ifndef SALLYPORT_LOAD_H
#define SALLYPORT_LOAD_H

#include "../base/epoch.h"

/* name: "postgres" (looked up in the module folder beside this installation) or an absolute path. */
int module_load(struct arena *a, const char *name, const struct sp_module **m_r, const char **err_r) SP_MUST;
/* All that the settings name; NULL-terminated array in the arena. */
int modules_load(struct arena *a, const struct settings *s, const struct sp_module *const **list_r, const char **err_r) SP_MUST;
const struct sp_module *modules_find(const struct sp_module *const *list, const char *name);
/*
 * The module's conf block for one session: rows marked SP_IN_MODULE from `module NAME { … }`, then
 * SP_IN_LISTENER from the listener, SP_IN_TARGET from the target (either may be NULL); with both of
 * them the block is whole, and check() is asked.
 */
int module_conf(struct arena *a, const struct sp_module *m, const struct settings *s, const struct listener *l,
    const struct target *t, void **conf_r, const char **err_r) SP_MUST;

#endif

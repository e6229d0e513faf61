/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ABI a module file was built for, read from its ELF note without running any of it.
 *
 *     ELF header ─▶ program headers ─▶ each PT_NOTE ─▶ note "Sallyport", type 1: (major, minor)
 *
 * Only files for this very machine are understood.
 */
#ifndef SALLYPORT_ELF_NOTE_H
#define SALLYPORT_ELF_NOTE_H

#include <sallyport/module.h>

/* *why_r is half a sentence: "it is not a module: …". */
int elf_note_read(struct sp_bytes file, uint32_t *major_r, uint32_t *minor_r, const char **why_r) SP_MUST;

#endif

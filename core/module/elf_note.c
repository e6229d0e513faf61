/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of just so much ELF as it takes to find one note; every offset is the file's claim and is checked. */
#include <config.h>

#include "elf_note.h"

#include <elf.h>
#include <link.h>

enum { NOTE_TYPE = 1, MAX_HEADERS = 64, MAX_NOTES = 64 };
static const char note_name[] = "Sallyport";

struct search {
	struct sp_bytes file;
	uint32_t major, minor;
	bool found;
	const char **why_r;
};

static int
fail(struct search *s, const char *why)
{
	*s->why_r = why;
	return SP_ECONF;
}

/* A struct of the file's, in this machine's byte order. */
static void
take_struct(struct sp_reader *r, void *into, size_t size)
{
	struct sp_bytes b = sp_rd_take(r, size);
	memset(into, 0, size);
	if (b.len == size)
		memcpy(into, b.p, size);
}

/* [offset, offset + size) of the file, or bad. */
static struct sp_reader
part_of(struct sp_bytes file, uint64_t offset, uint64_t size)
{
	struct sp_reader r = sp_reader(file), part;
	if (offset > file.len || size > file.len) {
		r.bad = true;
		return r;
	}
	(void)sp_rd_take(&r, (size_t)offset);
	part = sp_reader(sp_rd_take(&r, (size_t)size));
	part.bad = r.bad;
	return part;
}

static bool
is_ours(const ElfW(Ehdr) *h)
{
	const uint16_t one = 1;
	const bool little = *(const uint8_t *)&one == 1;
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 &&
	       h->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	       h->e_ident[EI_DATA] == (little ? ELFDATA2LSB : ELFDATA2MSB) && h->e_type == ET_DYN &&
	       h->e_phentsize == sizeof(ElfW(Phdr));
}

static size_t
padding(size_t n, size_t align)
{
	return (align - n % align) % align;
}

static int
take_version(struct search *s, struct sp_bytes desc)
{
	uint32_t version[2];
	if (desc.len != sizeof(version))
		return fail(s, "its Sallyport note is malformed");
	memcpy(version, desc.p, sizeof(version));
	if (s->found && (version[0] != s->major || version[1] != s->minor))
		return fail(s, "it has two Sallyport notes that differ");
	s->found = true;
	s->major = version[0];
	s->minor = version[1];
	return SP_OK;
}

static int
search_notes(struct search *s, struct sp_reader r, size_t align)
{
	unsigned n = 0;
	while (!r.bad && r.left > 0) {
		ElfW(Nhdr) h;
		take_struct(&r, &h, sizeof(h));
		struct sp_bytes name = sp_rd_take(&r, h.n_namesz);
		(void)sp_rd_take(&r, padding(name.len, align));
		struct sp_bytes desc = sp_rd_take(&r, h.n_descsz);
		size_t pad = padding(desc.len, align);
		(void)sp_rd_take(&r, pad < r.left ? pad : r.left); /* the last one's may be cut off */
		if (r.bad || n++ == MAX_NOTES)
			break;
		if (h.n_type != NOTE_TYPE || !sp_bytes_eq(name, (struct sp_bytes){ (const uint8_t *)note_name, sizeof(note_name) }))
			continue;
		int rc = take_version(s, desc);
		if (rc != SP_OK)
			return rc;
	}
	return r.bad || n > MAX_NOTES ? fail(s, "its ELF notes are malformed") : SP_OK;
}

static int
search_headers(struct search *s)
{
	struct sp_reader r = sp_reader(s->file);
	ElfW(Ehdr) h;
	take_struct(&r, &h, sizeof(h));
	if (r.bad || !is_ours(&h))
		return fail(s, "it is not a shared object for this machine");
	if (h.e_phnum > MAX_HEADERS)
		return fail(s, "it has too many ELF segments");
	struct sp_reader table = part_of(s->file, h.e_phoff, (uint64_t)h.e_phnum * sizeof(ElfW(Phdr)));
	for (unsigned i = 0; i < h.e_phnum; i++) {
		ElfW(Phdr) p;
		take_struct(&table, &p, sizeof(p));
		if (p.p_type != PT_NOTE)
			continue;
		int rc = search_notes(s, part_of(s->file, p.p_offset, p.p_filesz), p.p_align == 8 ? 8 : 4);
		if (rc != SP_OK)
			return rc;
	}
	return table.bad ? fail(s, "its ELF header is malformed") : SP_OK;
}

int
elf_note_read(struct sp_bytes file, uint32_t *major_r, uint32_t *minor_r, const char **why_r)
{
	struct search s = { .file = file, .why_r = why_r };
	*major_r = *minor_r = 0;
	int rc = search_headers(&s);
	if (rc != SP_OK)
		return rc;
	if (!s.found)
		return fail(&s, "it has no Sallyport note: it is not a module, or was not made with SP_MODULE");
	*major_r = s.major;
	*minor_r = s.minor;
	return SP_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what is asked for to attributes, by nothing but its text:
 *
 *   ssh.exec, ssh.scp   the command line          ssh.shell    "shell"
 *   ssh.env             NAME=VALUE                ssh.sftp     "read /srv/x", "rename /a", newline, "/b"; newline, "= /c": its name at the target
 *   ssh.forward         direct-tcpip HOST PORT, tcpip-forward HOST PORT (the target listens there, * for everywhere),
 *                       forwarded-tcpip HOST PORT (somebody came to it), x11, agent
 *
 * What a target's `channels` does not name is unclear, and so denied unless a rule allows exactly that.
 */
#include "ssh.h"

#include "../shell/shell.h"
#include "sftp.h"

const char *const ssh_kinds[] = { "ssh.exec", "ssh.shell", "ssh.env", "ssh.scp", "ssh.sftp", "ssh.forward", NULL };

#define COMMANDS "ssh.exec ssh.scp"
const struct sp_attr ssh_attrs[] = {
	[A_COMMAND] = { "command", SP_TYPE_STRING, SP_OF_OPERATION, COMMANDS, "The command line as the client sent it, in every part of it." },
	[A_PROGRAM] = { "program", SP_TYPE_STRING, SP_OF_OPERATION, COMMANDS,
	    "The program of this command of the line, without its folder; unknown where it is not a fixed word, or commands hide inside." },
	[A_ARGV] = { "argv", SP_TYPE_STRINGS, SP_OF_OPERATION, COMMANDS,
	    "The words of this command, unquoted, the program's own first; unknown where one of them is not fixed." },
	[A_SYNTAX] = { "syntax", SP_TYPE_STRING, SP_OF_OPERATION, COMMANDS, "`simple` when this command is fixed words, else `opaque`." },
	[A_WRITES] = { "writes", SP_TYPE_STRINGS, SP_OF_OPERATION, COMMANDS, "Files that this command's output is redirected to." },
	[A_READS] = { "reads", SP_TYPE_STRINGS, SP_OF_OPERATION, COMMANDS, "Files that its input is redirected from." },
	[A_NAME] = { "name", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.env", "The variable." },
	[A_VALUE] = { "value", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.env", "Its value." },
	[A_OPERATION] = { "operation", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.sftp",
	    "start, open (write, or read and write), read (open for reading), list, stat, setstat, remove, mkdir, rmdir, rename, symlink, "
	    "hardlink, readlink, realpath." },
	[A_PATH] = { "path", SP_TYPE_STRINGS, SP_OF_OPERATION, "ssh.sftp ssh.scp output",
	    "The files that it names, without . and .. and double slashes, by SFTP absolute; two of rename, symlink and hardlink; and, by SFTP, "
	    "each once more as the target knows it without links, where that differs.  By scp also what is not known: with -r or -d all that is "
	    "in the folder, and of a name without a leading / where it begins.  On output: the file whose contents are read." },
	[A_TO] = { "to", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.sftp", "The new name of rename and hardlink; where a symlink leads." },
	[A_DIRECTION] = { "direction", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.scp", "`upload` to the target, `download` from it." },
	[A_CHANNEL] = { "channel", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.exec ssh.shell ssh.scp ssh.sftp ssh.forward",
	    "What is opened: exec, shell, scp, sftp, direct-tcpip, tcpip-forward (to listen, and each connection that comes), x11, agent." },
	[A_HOST] = { "host", SP_TYPE_STRING, SP_OF_OPERATION, "ssh.forward", "Where to, as the target would reach it; with tcpip-forward where it listens, `*` for everywhere." },
	[A_PORT] = { "port", SP_TYPE_INT, SP_OF_OPERATION, "ssh.forward", "The port there." },
	{ .name = NULL }
};

/* ---- command lines ---- */

struct reading {
	struct sp_op *op;
	struct sp_bytes line;
	bool opaque, first; /* no command was begun yet */
	bool begun;         /* the node of the command under way is there */
	struct sp_bytes program; /* the first */
};

/* What is fixed of it; what is not is unknown, and restrictions apply to it. */
static int
add_words(struct sp_op *op, const struct shell_command *c)
{
	int rc = !c->named ? sp_op_unknown(op, A_PROGRAM) : c->nwords == 0 ? SP_OK : sp_op_str(op, A_PROGRAM, shell_base_name(c->word[0]));
	if (rc == SP_OK && !c->words_known)
		rc = sp_op_unknown(op, A_ARGV);
	for (size_t i = 0; i < c->nwords && rc == SP_OK && c->words_known; i++)
		rc = sp_op_add(op, A_ARGV, c->word[i]);
	for (size_t i = 0; i < c->nredirects && rc == SP_OK && c->files_known; i++)
		rc = sp_op_add(op, c->writes[i] ? A_WRITES : A_READS, c->to[i]);
	if (rc != SP_OK || c->files_known)
		return rc;
	rc = sp_op_unknown(op, A_WRITES);
	return rc == SP_OK ? sp_op_unknown(op, A_READS) : rc;
}

/* The first command is the root node's, each further one has a node of its own. */
static int
begin_command(struct reading *r)
{
	if (r->begun)
		return SP_OK;
	int rc = r->first ? SP_OK : sp_op_node(r->op);
	r->first = false;
	r->begun = true;
	return rc == SP_OK ? sp_op_str(r->op, A_COMMAND, r->line) : rc;
}

static int
on_command(void *owner, const struct shell_command *c)
{
	struct reading *r = owner;
	int rc = begin_command(r);
	r->begun = false;
	if (rc == SP_OK && c->nwords > 0 && r->program.p == NULL && c->named) {
		r->program = shell_base_name(c->word[0]);
		char tag[32] = "";
		size_t n = r->program.len < sizeof(tag) - 1 ? r->program.len : sizeof(tag) - 1;
		memcpy(tag, r->program.p, n);
		tag[n] = '\0';
		rc = sp_op_tag(r->op, tag);
	}
	if (rc == SP_OK)
		rc = add_words(r->op, c);
	return rc == SP_OK ? sp_op_str(r->op, A_SYNTAX, c->opaque ? SP_LIT("opaque") : SP_LIT("simple")) : rc;
}

/* Told before its command, at whose node it has to stand: an allow is asked about that one alone. */
static int
on_opaque(void *owner, const char *what, struct sp_bytes name)
{
	struct reading *r = owner;
	int rc = begin_command(r);
	r->opaque = true;
	if (rc != SP_OK)
		return rc;
	return name.len > 0 ? sp_op_unclear(r->op, "program", name) : sp_op_unclear(r->op, "shell", sp_str(what));
}

static int
classify_line(struct sp_op *op, struct sp_bytes line)
{
	static struct shell_scratch scratch; /* one thread, and classify() is not called inside itself */
	struct reading r = { .op = op, .line = line, .first = true };
	const struct shell_reader to = { on_command, on_opaque, &r };
	int rc = sp_op_str(op, A_COMMAND, line);
	if (rc == SP_OK)
		rc = shell_read(line, &scratch, &to);
	if (rc == SP_OK && r.first && !r.opaque) /* nothing at all */
		rc = sp_op_unclear(op, "shell", SP_LIT("syntax"));
	return rc;
}

/* ---- scp ---- */

struct scp {
	bool scp, upload, download, other;
	bool folder; /* the path stands for what is in it */
	unsigned commands;
	struct sp_bytes path;
	uint8_t space[1024];
};

static int
scp_opaque(void *owner, const char *what, struct sp_bytes name)
{
	struct scp *scp = owner;
	(void)what;
	(void)name;
	scp->other = true;
	return 0;
}

/* Another program of that name is a command as any. */
static bool
is_scp(struct sp_bytes program)
{
	return sp_bytes_is(program, "scp") || sp_bytes_is(program, "/usr/bin/scp") || sp_bytes_is(program, "/bin/scp");
}

/* scp [-r] [-p] [-d] [-v] [-q] -t|-f [--] PATH */
static int
scp_words(void *owner, const struct shell_command *c)
{
	struct scp *scp = owner;
	bool options = true;
	scp->scp = ++scp->commands == 1 && c->nwords > 2 && c->nredirects == 0 && is_scp(c->word[0]);
	for (size_t i = 1; i < c->nwords && scp->scp; i++) {
		struct sp_bytes w = c->word[i];
		if (options && sp_bytes_is(w, "--")) {
			options = false;
		} else if (options && w.len > 1 && w.p[0] == '-') {
			for (size_t k = 1; k < w.len; k++) {
				scp->upload = scp->upload || w.p[k] == 't';
				scp->download = scp->download || w.p[k] == 'f';
				scp->folder = scp->folder || w.p[k] == 'r' || w.p[k] == 'd';
				scp->other = scp->other || memchr("rpdvqtf", w.p[k], 7) == NULL;
			}
		} else {
			scp->other = scp->other || scp->path.len > 0 || w.len == 0 || w.len > sizeof(scp->space);
			if (scp->other)
				break;
			memcpy(scp->space, w.p, w.len);
			scp->path = (struct sp_bytes){ scp->space, w.len };
		}
	}
	return 0;
}

static bool
read_scp(struct sp_bytes line, struct scp *scp)
{
	static struct shell_scratch scratch;
	const struct shell_reader to = { scp_words, scp_opaque, scp };
	if (shell_read(line, &scratch, &to) != 0)
		return false;
	return scp->scp && scp->commands == 1 && !scp->other && scp->upload != scp->download && scp->path.len > 0;
}

bool
scp_command(struct sp_bytes command)
{
	struct scp scp = { .scp = false };
	return read_scp(command, &scp);
}

bool
scp_downloads(struct sp_bytes command)
{
	struct scp scp = { .scp = false };
	return read_scp(command, &scp) && scp.download;
}

/* ---- the others ---- */

static int
classify_channel(const struct sp_scope *scope, struct sp_op *op, const char *channel)
{
	static const char *const usual[] = { "exec", "shell", "sftp", "scp" };
	const struct sp_strings defaults = { usual, sizeof(usual) / sizeof(*usual) };
	const struct ssh_conf *conf = scope == NULL ? NULL : scope->conf;
	int rc = sp_op_str(op, A_CHANNEL, sp_str(channel));
	if (rc == SP_OK && !ssh_listed(conf == NULL ? &defaults : &conf->channels, channel))
		rc = sp_op_unclear(op, "channel", sp_str(channel));
	return rc;
}

static int
classify_exec(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	int rc = classify_channel(scope, op, "exec");
	if (rc == SP_OK)
		rc = sp_op_unseen(op); /* its stdin */
	return rc == SP_OK ? classify_line(op, text) : rc;
}

static int
classify_scp(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct scp scp = { .scp = false };
	int rc = classify_channel(scope, op, "scp");
	if (rc != SP_OK || !read_scp(text, &scp))
		return rc != SP_OK ? rc : SP_EPROTO;
	rc = sp_op_str(op, A_DIRECTION, scp.upload ? SP_LIT("upload") : SP_LIT("download"));
	if (rc == SP_OK && scp.upload)
		rc = sp_op_unseen(op);
	if (rc == SP_OK)
		rc = sftp_put_path(op, A_PATH, scp.path);
	if (rc == SP_OK && (scp.folder || scp.path.p[0] != '/')) /* restrictions on paths apply: what comes may be any file */
		rc = sp_op_unknown(op, A_PATH);
	return rc == SP_OK ? classify_line(op, text) : rc;
}

static int
classify_shell(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	int rc = classify_channel(scope, op, "shell");
	if (rc == SP_OK && !sp_bytes_is(text, "shell exec")) /* whose lines are seen, one by one */
		rc = sp_op_unseen(op);
	return rc == SP_OK ? sp_op_tag(op, "shell") : rc;
}

static int
classify_env(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct sp_reader r = sp_reader(text);
	struct sp_bytes name = sp_rd_until(&r, '=');
	(void)scope;
	if (r.bad)
		return SP_EPROTO;
	int rc = sp_op_str(op, A_NAME, name);
	if (rc == SP_OK)
		rc = sp_op_str(op, A_VALUE, sp_rd_rest(&r));
	return rc == SP_OK ? sp_op_tag(op, "env") : rc;
}

static int
classify_sftp(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	uint8_t space[SFTP_PATH_MAX];
	struct sp_reader r = sp_reader(text), rest = r;
	int rc = classify_channel(scope, op, "sftp");
	struct sp_bytes verb = sp_rd_until(&r, ' ');
	if (r.bad) {
		verb = sp_rd_rest(&rest);
		r = rest;
	}
	if (rc == SP_OK)
		rc = sp_op_str(op, A_OPERATION, verb);
	if (rc == SP_OK && sp_bytes_is(verb, "open"))
		rc = sp_op_unseen(op); /* what will be written */
	for (unsigned i = 0; rc == SP_OK && r.left > 0; i++) {
		bool real = false;
		struct sp_bytes path = sftp_read_name(&r, space);
		if (i > 0 && path.len > 2 && memcmp(path.p, "= /", 3) == 0) {
			real = true;
			path.p += 2;
			path.len -= 2;
		}
		rc = sftp_put_path(op, A_PATH, path);
		if (rc == SP_OK && i == 1 && !real)
			rc = sftp_put_path(op, A_TO, path);
	}
	return rc;
}

/* Of the connection as a whole: what will be asked of it is not seen. */
static int
classify_whole(const struct sp_scope *scope, struct sp_op *op, const char *channel)
{
	int rc = classify_channel(scope, op, channel);
	if (rc == SP_OK)
		rc = sp_op_unseen(op);
	return rc == SP_OK ? sp_op_tag(op, channel) : rc;
}

static int
classify_forward(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	struct sp_reader r = sp_reader(text);
	if (sp_bytes_is(text, "x11") || sp_bytes_is(text, "agent"))
		return classify_whole(scope, op, sp_bytes_is(text, "x11") ? "x11" : "agent");
	struct sp_bytes word = sp_rd_until(&r, ' '), host = sp_rd_until(&r, ' '), digits = sp_rd_rest(&r);
	const char *channel = sp_bytes_is(word, "direct-tcpip") ? "direct-tcpip" : "tcpip-forward";
	uint64_t port = 0;
	if (r.bad || host.len == 0 || digits.len == 0 || digits.len > 5 ||
	    !(sp_bytes_is(word, channel) || sp_bytes_is(word, "forwarded-tcpip")))
		return SP_EPROTO;
	for (size_t i = 0; i < digits.len; i++) {
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return SP_EPROTO;
		port = port * 10 + (uint64_t)(digits.p[i] - '0');
	}
	int rc = classify_channel(scope, op, channel);
	if (rc == SP_OK)
		rc = sp_op_str(op, A_HOST, host);
	if (rc == SP_OK)
		rc = sp_op_int(op, A_PORT, port);
	if (rc == SP_OK)
		rc = sp_op_unseen(op);
	return rc == SP_OK ? sp_op_tag(op, channel) : rc;
}

int
ssh_classify(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text)
{
	static const struct {
		const char *kind;
		int (*classify)(const struct sp_scope *scope, struct sp_op *op, struct sp_bytes text);
	} row[] = {
		{ "ssh.exec", classify_exec }, { "ssh.scp", classify_scp }, { "ssh.shell", classify_shell }, { "ssh.env", classify_env },
		{ "ssh.sftp", classify_sftp }, { "ssh.forward", classify_forward },
	};
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++)
		if (strcmp(sp_op_kind(op), row[i].kind) == 0)
			return row[i].classify(scope, op, text);
	return SP_EPROTO;
}

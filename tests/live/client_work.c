/* SPDX-License-Identifier: Apache-2.0 */
/* What a libpq program does beyond psql: chunks, pipelines, binary, non-blocking; equal direct and through. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PGconn *c;

static void
show(const char *step, PGresult *r)
{
	printf("%s: %s %s", step, PQresStatus(PQresultStatus(r)), PQcmdStatus(r));
	if (PQresultStatus(r) == PGRES_FATAL_ERROR)
		printf(" %s %s", PQresultErrorField(r, PG_DIAG_SQLSTATE), PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
	for (int i = 0; i < PQntuples(r) && i < 5; i++)
		for (int j = 0; j < PQnfields(r); j++)
			if (PQfformat(r, j) == 0)
				printf("|%s", PQgetisnull(r, i, j) ? "(null)" : PQgetvalue(r, i, j));
			else
				for (int k = 0; k < PQgetlength(r, i, j); k++)
					printf("%s%02x", k == 0 ? "|" : "", (unsigned char)PQgetvalue(r, i, j)[k]);
	printf("\n");
	PQclear(r);
}

static void
drain(const char *step)
{
	for (PGresult *r; (r = PQgetResult(c)) != NULL;)
		show(step, r);
}

static void
pipelines(void)
{
	const char *value[] = { "7" };
	printf("pipeline %d\n", PQenterPipelineMode(c));
	for (int i = 0; i < 3; i++)
		PQsendQueryParams(c, "SELECT $1::int + 1", 1, NULL, value, NULL, NULL, i % 2);
	PQsendQueryParams(c, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0);
	PQsendQueryParams(c, "SELECT 'not run'", 0, NULL, NULL, NULL, NULL, 0);
	PQpipelineSync(c);
	PQsendQueryParams(c, "SELECT 'run'", 0, NULL, NULL, NULL, NULL, 0);
	PQsendPrepare(c, "p", "SELECT $1::text", 1, NULL);
	PQsendDescribePrepared(c, "p");
	PQsendQueryPrepared(c, "p", 1, value, NULL, NULL, 1);
	PQpipelineSync(c);
	for (int synced = 0; synced < 2;) {
		PGresult *r = PQgetResult(c);
		if (r == NULL)
			continue;
		synced += PQresultStatus(r) == PGRES_PIPELINE_SYNC;
		show("in pipeline", r);
	}
	printf("pipeline off %d\n", PQexitPipelineMode(c));
}

static void
row_by_row(void)
{
	int n = 0;
	PQsendQuery(c, "SELECT n FROM numbers");
	PQsetSingleRowMode(c);
	for (PGresult *r; (r = PQgetResult(c)) != NULL; PQclear(r))
		n += PQresultStatus(r) == PGRES_SINGLE_TUPLE;
	printf("single rows %d\n", n);
}

static void
copies(void)
{
	char *line;
	size_t bytes = 0;
	PQclear(PQexec(c, "COPY notes FROM STDIN"));
	for (int i = 0; i < 1000; i++) {
		char row[64];
		PQputCopyData(c, row, snprintf(row, sizeof(row), "%d\tx\n", i));
	}
	PQputCopyEnd(c, NULL);
	drain("copy in");
	PQclear(PQexec(c, "COPY notes FROM STDIN"));
	PQputCopyEnd(c, "changed my mind");
	drain("copy failed");
	PQclear(PQexec(c, "COPY notes TO STDOUT"));
	for (int n; (n = PQgetCopyData(c, &line, 0)) > 0; PQfreemem(line))
		bytes += (size_t)n;
	printf("copied %zu\n", bytes);
	drain("copy out");
}

static void
notices(void *owner, const PGresult *r)
{
	(void)owner;
	printf("notice %s %s\n", PQresultErrorField(r, PG_DIAG_SQLSTATE), PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
}

int
main(int argc, char **argv)
{
	const char *value[] = { "\0\0\0\5" };
	const int length[] = { 4 }, format[] = { 1 };
	const Oid type[] = { 23 };
	if (argc != 2 || PQstatus(c = PQconnectdb(argv[1])) != CONNECTION_OK) {
		fprintf(stderr, "%s\n", c == NULL ? "usage: client_work DSN" : PQerrorMessage(c));
		return 1;
	}
	PQsetNoticeReceiver(c, notices, NULL);
	printf("%d %d %s %s\n", PQprotocolVersion(c), PQserverVersion(c), PQparameterStatus(c, "DateStyle"), PQparameterStatus(c, "integer_datetimes"));
	show("binary", PQexecParams(c, "SELECT $1 + 1, now() > 'epoch', 'text'", 1, type, value, length, format, 1));
	show("prepare", PQprepare(c, "s", "SELECT id, item FROM orders WHERE id = $1", 1, NULL));
	show("describe", PQdescribePrepared(c, "s"));
	show("execute", PQexecPrepared(c, "s", 1, (const char *[]){ "3" }, NULL, NULL, 0));
	show("begin", PQexec(c, "BEGIN; DECLARE k CURSOR FOR SELECT id FROM orders ORDER BY id"));
	show("describe portal", PQdescribePortal(c, "k"));
	show("fetch", PQexec(c, "FETCH 3 FROM k"));
	printf("in transaction %d\n", PQtransactionStatus(c));
	show("error", PQexec(c, "SELECT 1/0"));
	printf("failed %d\n", PQtransactionStatus(c));
	show("commit", PQexec(c, "COMMIT"));
	show("notice", PQexec(c, "ROLLBACK"));
	pipelines();
	row_by_row();
	copies();
	show("count", PQexec(c, "SELECT count(*) FROM notes"));
	PQfinish(c);
	return 0;
}

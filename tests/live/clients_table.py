# SPDX-License-Identifier: Apache-2.0
"""The table of docs/clients.md: one row for each tool, and what long_clients.py has to find for it.

    clients_table.py            prints the table that docs/clients.md has to have
"""

# name in long_clients.py, tool, where it is from, what it does there
ROWS = (
    ("psql", "psql", "Debian", "69 backslash commands of the `\\d` family and others, `\\gdesc`, `\\gexec`, `\\crosstabview`, errors, transactions"),
    ("psql_completion", "psql, tab completion", "Debian", "nine completions of tables, columns, functions, settings in a terminal"),
    ("pg_dump", "pg_dump, pg_restore", "Debian", "plain, custom and directory format, `--inserts`, two jobs; a restore of data"),
    ("pgbench", "pgbench", "Debian", "simple, extended and prepared, its own scripts and a pipeline"),
    ("pgcli", "pgcli", "Debian", "what it loads for completion, its special commands, statements"),
    ("jdbc_pool", "JDBC, HikariCP", "Maven", "`DatabaseMetaData` as DBeaver and DataGrip ask for it, by ten connections of a pool at once"),
    ("npgsql", "Npgsql's loading of types", "no client here: a text of the same shape", "base, range, multirange, enum, composite and array types in one message"),
    ("pgx", "pgx", "Debian", "types by name, enum and composite, prepared statements, a batch, a pool"),
    ("psycopg_pipeline", "psycopg", "Debian", "a pipeline of hundreds of statements with an error within"),
    ("asyncpg", "asyncpg", "Debian", "its introspection of types, a pool of ten, a cursor"),
    ("node_postgres", "node-postgres", "npm", "a pool of ten, named statements, a cursor"),
    ("sqlalchemy", "SQLAlchemy", "Debian", "reflection of all tables, indexes, constraints, comments, enums"),
    ("django", "Django migrations", "Debian", "`migrate` of auth, contenttypes and sessions, `inspectdb`, `sqlflush`; its definitions approved as a file"),
    ("rails", "Rails migrations", "Debian", "ActiveRecord's migrator with its advisory lock, a schema dump; its definitions approved as a file"),
    ("alembic", "Alembic", "Debian", "`upgrade` and its comparison; its definitions approved as a file"),
    ("flyway", "Flyway", "Maven", "two versions with its advisory lock and its history table, a DO block; its definitions approved as a file"),
    ("liquibase", "Liquibase", "Maven", "two change sets, its lock table; its definitions approved as a file"),
    ("logical", "pg_recvlogical, pg_receivewal, pg_basebackup", "Debian", "refused: replication does not go through the gateway"),
)
REFUSED = {"logical"}


def line(row, denied, equal):
    result = "refused, and told why" if row[0] in REFUSED and equal else "the same" if equal else "DIFFERS"
    return f"| {row[1]} | {row[2]} | {row[3]} | {denied} | {result} |"


def render(results=None):
    """results: {name: (unexpected denials, as direct)}; without: as it has to be."""
    head = "| tool | from | what it does | unexpected denials | result, beside direct |\n|---|---|---|---|---|\n"
    return head + "\n".join(line(row, *(results[row[0]] if results else (0, True))) for row in ROWS) + "\n"


if __name__ == "__main__":
    print(render(), end="")

// SPDX-License-Identifier: Apache-2.0
// What database tools in Java do: DatabaseMetaData over a pool of ten, Liquibase's run and Flyway's.
// Prints one line per step, which must be equal direct and through.

import com.zaxxer.hikari.*;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public class Tools {
    static final String url = System.getenv("JDBC_URL"), user = System.getenv("JDBC_USER"), password = System.getenv("PGPASSWORD");

    static String rows(ResultSet r) throws SQLException {
        StringBuilder b = new StringBuilder();
        while (r.next()) {
            for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) b.append(r.getString(i)).append('|');
            b.append('\n');
        }
        return b.toString();
    }

    static String metadata(Connection c) throws SQLException {
        DatabaseMetaData m = c.getMetaData();
        StringBuilder b = new StringBuilder(m.getDatabaseProductVersion()).append(m.getMaxConnections()).append(m.getSQLKeywords());
        b.append(rows(m.getCatalogs())).append(rows(m.getSchemas())).append(rows(m.getTableTypes())).append(rows(m.getTypeInfo()));
        b.append(rows(m.getTables(null, null, "%", null))).append(rows(m.getColumns(null, "public", "%", "%")));
        for (String table : new String[] {"orders", "customers", "every"}) {
            b.append(rows(m.getPrimaryKeys(null, "public", table))).append(rows(m.getImportedKeys(null, "public", table)));
            b.append(rows(m.getExportedKeys(null, "public", table))).append(rows(m.getIndexInfo(null, "public", table, false, true)));
            b.append(rows(m.getTablePrivileges(null, "public", table))).append(rows(m.getColumnPrivileges(null, "public", table, "%")));
            b.append(rows(m.getBestRowIdentifier(null, "public", table, DatabaseMetaData.bestRowSession, true)));
        }
        return b.append(rows(m.getFunctions(null, "public", "%"))).append(rows(m.getFunctionColumns(null, "public", "%", "%")))
            .append(rows(m.getProcedures(null, "public", "%"))).append(rows(m.getUDTs(null, "public", "%", null)))
            .append(rows(m.getCrossReference(null, "public", "customers", null, "public", "orders"))).toString();
    }

    static void pool() throws Exception {
        HikariConfig config = new HikariConfig();
        config.setJdbcUrl(url);
        config.setUsername(user);
        config.setPassword(password);
        config.setMaximumPoolSize(10);
        ExecutorService threads = Executors.newFixedThreadPool(10);
        try (HikariDataSource pool = new HikariDataSource(config)) {
            CountDownLatch all = new CountDownLatch(10); // ten at once, or it never ends
            List<Future<String>> found = new ArrayList<>();
            for (int i = 0; i < 10; i++)
                found.add(threads.submit(() -> {
                    try (Connection c = pool.getConnection()) {
                        all.countDown();
                        all.await();
                        return metadata(c);
                    }
                }));
            for (Future<String> f : found) System.out.println(f.get());
        } finally {
            threads.shutdown();
        }
    }

    static void liquibase(String folder, String changelog) throws Exception {
        java.util.logging.LogManager.getLogManager().reset();
        try (Connection c = DriverManager.getConnection(url, user, password);
             liquibase.Liquibase l = new liquibase.Liquibase(changelog, new liquibase.resource.DirectoryResourceAccessor(new java.io.File(folder)),
                 new liquibase.database.jvm.JdbcConnection(c))) {
            l.update("");
            System.out.println("left " + l.listUnrunChangeSets(null, null).size());
        }
    }

    static void flyway(String folder) throws Exception {
        java.util.logging.LogManager.getLogManager().reset();
        org.flywaydb.core.Flyway f = org.flywaydb.core.Flyway.configure().dataSource(url, user, password).locations("filesystem:" + folder).load();
        System.out.println("ran " + f.migrate().migrationsExecuted);
        f.validate();
        for (org.flywaydb.core.api.MigrationInfo i : f.info().all()) System.out.println(i.getVersion() + " " + i.getDescription() + " " + i.getState());
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("pool")) pool();
        if (args[0].equals("liquibase")) liquibase(args[1], args[2]);
        if (args[0].equals("flyway")) flyway(args[1]);
        System.out.println("end");
    }
}

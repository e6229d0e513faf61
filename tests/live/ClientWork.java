// SPDX-License-Identifier: Apache-2.0
// What a JDBC program does; prints one line per step, which must be equal direct and through.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.*;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;
import org.postgresql.copy.CopyManager;

public class ClientWork {
    static Connection open(String... extra) throws SQLException {
        Properties p = new Properties();
        p.setProperty("user", System.getenv("JDBC_USER"));
        p.setProperty("password", System.getenv("PGPASSWORD"));
        for (int i = 0; i < extra.length; i += 2) p.setProperty(extra[i], extra[i + 1]);
        return DriverManager.getConnection(System.getenv("JDBC_URL"), p);
    }

    static void show(String step, Object value) { System.out.println(step + ": " + value); }

    static String rows(ResultSet r) throws SQLException {
        StringBuilder b = new StringBuilder();
        int n = r.getMetaData().getColumnCount();
        while (r.next()) {
            for (int i = 1; i <= n; i++) {
                Object v = r.getObject(i);
                b.append(v instanceof SQLXML ? ((SQLXML) v).getString() : v instanceof byte[] ? Arrays.toString((byte[]) v) : v instanceof Array ? Arrays.deepToString((Object[]) ((Array) v).getArray()) : String.valueOf(v)).append('|');
            }
            b.append('\n');
        }
        return b.toString();
    }

    static String failure(SQLException e) { return e.getSQLState() + " " + e.getMessage(); }

    static void metadata(Connection c) throws SQLException {
        DatabaseMetaData m = c.getMetaData();
        show("product", m.getDatabaseProductName() + " " + m.getDatabaseProductVersion());
        show("tables", rows(m.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"})));
        show("columns", rows(m.getColumns(null, "public", "%", "%")));
        show("keys", rows(m.getPrimaryKeys(null, "public", "orders")));
        show("imported", rows(m.getImportedKeys(null, "public", "orders")));
        show("exported", rows(m.getExportedKeys(null, "public", "customers")));
        show("indexes", rows(m.getIndexInfo(null, "public", "orders", false, false)));
        show("types", rows(m.getTypeInfo()).length() > 100);
        show("schemas", rows(m.getSchemas()));
        show("functions", rows(m.getFunctions(null, "public", "%")));
        show("procedures", rows(m.getProcedures(null, "public", "%")));
        show("procedure columns", rows(m.getProcedureColumns(null, "public", "%", "%")));
        show("table privileges", rows(m.getTablePrivileges(null, "public", "orders")));
        show("column privileges", rows(m.getColumnPrivileges(null, "public", "orders", "%")));
        show("best row", rows(m.getBestRowIdentifier(null, "public", "orders", DatabaseMetaData.bestRowSession, false)));
        show("versions", rows(m.getVersionColumns(null, "public", "orders")));
        show("udts", rows(m.getUDTs(null, "public", "%", null)));
        show("catalogs", rows(m.getCatalogs()).length() > 0);
        show("client info", rows(m.getClientInfoProperties()));
        show("table types", rows(m.getTableTypes()));
    }

    static void statements(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            show("all types", rows(s.executeQuery("SELECT * FROM every ORDER BY id")));
            show("update", s.executeUpdate("INSERT INTO notes VALUES (1, 'a'), (2, 'b')"));
            s.execute("SELECT 1; SELECT 2; UPDATE notes SET body = 'c' WHERE id = 2");
            show("several", rows(s.getResultSet()) + s.getMoreResults() + rows(s.getResultSet()) + s.getMoreResults() + s.getUpdateCount());
            s.executeUpdate("INSERT INTO notes VALUES (3, 'g')", Statement.RETURN_GENERATED_KEYS);
            show("generated", rows(s.getGeneratedKeys()));
        }
        for (String bad : new String[] {"SELECT 1/0", "INSERT INTO notes VALUES (1, 'x')", "SELECT * FROM nowhere"})
            try (Statement s = c.createStatement()) {
                s.execute(bad);
            } catch (SQLException e) {
                show("error", failure(e));
            }
        try (PreparedStatement p = c.prepareStatement("SELECT id, item, price FROM orders WHERE id = ? AND state = ?")) {
            p.unwrap(PGStatement.class).setPrepareThreshold(2);
            show("parameters", p.getParameterMetaData().getParameterCount() + " " + p.getParameterMetaData().getParameterTypeName(1) + " " + p.getMetaData().getColumnName(3));
            for (int i = 1; i < 8; i++) { // a server-side statement and binary results from the third on
                p.setInt(1, i);
                p.setString(2, i % 2 == 0 ? "paid" : "open");
                show("prepared", rows(p.executeQuery()) + p.unwrap(PGStatement.class).isUseServerPrepare());
            }
        }
        try (CallableStatement f = c.prepareCall("{ ? = call int4pl(?, ?) }")) {
            f.registerOutParameter(1, Types.INTEGER);
            f.setInt(2, 20);
            f.setInt(3, 22);
            f.execute();
            show("call", f.getInt(1));
        }
    }

    static void batches(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (PreparedStatement p = c.prepareStatement("INSERT INTO notes VALUES (?, ?)")) {
            for (int i = 100; i < 1100; i++) {
                p.setInt(1, i);
                p.setString(2, "batch " + i);
                p.addBatch();
            }
            show("batch", Arrays.stream(p.executeBatch()).sum());
            c.commit();
            p.setInt(1, 2000); p.setString(2, "x"); p.addBatch();
            p.setInt(1, 100); p.setString(2, "twice"); p.addBatch();
            p.executeBatch();
        } catch (BatchUpdateException e) {
            show("batch error", failure(e) + Arrays.toString(e.getUpdateCounts()));
            c.rollback();
        }
        Savepoint sp = c.setSavepoint("sp");
        try (Statement s = c.createStatement()) {
            s.executeUpdate("INSERT INTO notes VALUES (3000, 'x')");
            c.rollback(sp);
            show("count", rows(s.executeQuery("SELECT count(*) FROM notes")));
        }
        c.commit();
        try (Statement s = c.createStatement()) { // a portal, 50 rows at a time
            s.setFetchSize(50);
            ResultSet r = s.executeQuery("SELECT n FROM numbers ORDER BY n");
            long sum = 0;
            while (r.next()) sum += r.getInt(1);
            show("fetched", sum);
        }
        c.commit();
        c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        c.setReadOnly(true);
        try (Statement s = c.createStatement()) {
            show("isolation", rows(s.executeQuery("SHOW transaction_isolation")));
            s.executeUpdate("INSERT INTO notes VALUES (4000, 'x')");
        } catch (SQLException e) {
            show("read only", failure(e));
        }
        c.rollback();
        c.setReadOnly(false);
        c.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        c.setAutoCommit(true);
    }

    static void copies(Connection c) throws Exception {
        CopyManager m = c.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder b = new StringBuilder();
        for (int i = 5000; i < 8000; i++) b.append(i).append("\tcopied ").append(i).append('\n');
        show("copy in", m.copyIn("COPY notes FROM STDIN", new ByteArrayInputStream(b.toString().getBytes(StandardCharsets.UTF_8))));
        for (String how : new String[] {"", "(FORMAT csv, HEADER)", "(FORMAT binary)"}) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            long n = m.copyOut("COPY (SELECT * FROM notes ORDER BY id) TO STDOUT " + how, out);
            show("copy out", n + " " + out.size() + " " + Arrays.hashCode(out.toByteArray()));
        }
        try {
            m.copyIn("COPY notes FROM STDIN", new ByteArrayInputStream("broken\n".getBytes()));
        } catch (SQLException e) {
            show("copy error", failure(e));
        }
    }

    static void others(Connection c) throws Exception {
        try (Statement s = c.createStatement()) {
            s.setQueryTimeout(1);
            s.execute("SELECT count(*) FROM generate_series(1, 2000000000)");
        } catch (SQLException e) {
            show("query timeout", failure(e));
        }
        try (Statement s = c.createStatement()) {
            Thread t = new Thread(() -> { try { Thread.sleep(700); s.cancel(); } catch (Exception e) { show("cancel", e); } });
            t.start();
            try {
                s.execute("SELECT count(*) FROM generate_series(1, 2000000000)");
            } catch (SQLException e) {
                show("cancelled", failure(e));
            }
            t.join();
            s.execute("LISTEN news");
            s.execute("NOTIFY news, 'hi'");
            show("notification", c.unwrap(PGConnection.class).getNotifications(2000)[0].getParameter());
            s.execute("ROLLBACK");
            show("warning", s.getWarnings() == null ? null : s.getWarnings().getMessage());
        }
        c.setSchema("public");
        show("schema", c.getSchema() + " " + c.isValid(5));
        c.setClientInfo("ApplicationName", "jdbc test");
        try (Connection simple = open("preferQueryMode", "simple"); PreparedStatement p = simple.prepareStatement("SELECT ?::int + ?")) {
            p.setInt(1, 1);
            p.setInt(2, 2);
            show("simple mode", rows(p.executeQuery()));
        }
        try (Connection auto = open("autosave", "always", "reWriteBatchedInserts", "true", "defaultRowFetchSize", "10", "assumeMinServerVersion", "15")) {
            auto.setAutoCommit(false);
            try (PreparedStatement p = auto.prepareStatement("INSERT INTO notes VALUES (?, ?)")) {
                for (int i = 10000; i < 10100; i++) { p.setInt(1, i); p.setString(2, "r"); p.addBatch(); }
                show("rewritten", p.executeBatch().length);
            }
            try (Statement s = auto.createStatement()) {
                s.execute("SELECT 1/0");
            } catch (SQLException e) {
                show("autosave", failure(e));
            }
            try (Statement s = auto.createStatement()) {
                show("lives", rows(s.executeQuery("SELECT count(*) FROM notes")));
            }
            auto.commit();
        }
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = open()) {
            metadata(c);
            statements(c);
            batches(c);
            copies(c);
            others(c);
        }
        show("end", true);
    }
}

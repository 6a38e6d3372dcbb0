package sheaf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** SQL by Arrow's JDBC driver, as DBeaver and every other tool with JDBC uses it. */
class JdbcTest {
  private Endpoint endpoint;
  private Connection connection;

  @BeforeEach
  void connect() throws Exception {
    endpoint = Endpoint.start();
    var url = endpoint.url.replace("grpc://", "jdbc:arrow-flight-sql://");
    connection = DriverManager.getConnection(url + "/?useEncryption=false");
    update("create table flights as select * from (values (1, 'AA', 1.5), (2, 'LH', null)) "
        + "as t (id, carrier, delay)");
  }

  @AfterEach
  void disconnect() throws Exception {
    connection.close();
    endpoint.close();
  }

  private int update(String statement) throws SQLException {
    try (var words = connection.createStatement()) {
      return words.executeUpdate(statement);
    }
  }

  /** The cells of a result, row by row. */
  private static List<List<Object>> rows(ResultSet result) throws SQLException {
    try (result) {
      var rows = new ArrayList<List<Object>>();
      var columns = result.getMetaData().getColumnCount();
      while (result.next()) {
        var row = new ArrayList<>();
        for (int column = 1; column <= columns; column++) {
          row.add(result.getObject(column));
        }
        rows.add(row);
      }
      return rows;
    }
  }

  private static List<Object> column(ResultSet result, String name) throws SQLException {
    try (result) {
      var cells = new ArrayList<>();
      while (result.next()) {
        cells.add(result.getObject(name));
      }
      return cells;
    }
  }

  private List<List<Object>> query(String statement) throws SQLException {
    try (var words = connection.createStatement()) {
      return rows(words.executeQuery(statement));
    }
  }

  @Test
  void everyQuestionAboutTheDatabaseHasAnAnswer() throws Exception {
    var told = connection.getMetaData();
    for (var question : DatabaseMetaData.class.getMethods()) {
      if (question.getParameterCount() > 0) {
        continue;
      }
      if (question.invoke(told) instanceof ResultSet result) {
        result.close();
      }
    }
    assertEquals("Sheaf", told.getDatabaseProductName());
    assertEquals("\"", told.getIdentifierQuoteString());
    assertFalse(told.supportsTransactions());
    assertTrue(told.getSQLKeywords().contains("SELECT"));
    assertTrue(told.getNumericFunctions().contains("abs"));
    assertTrue(told.getStringFunctions().contains("lower"));
  }

  @Test
  void toolsFindCatalogsSchemasTablesAndColumns() throws Exception {
    var told = connection.getMetaData();
    assertEquals(List.of("sheaf"), column(told.getCatalogs(), "TABLE_CAT"));
    assertEquals(List.of("public", "system"), column(told.getSchemas(), "TABLE_SCHEM"));
    assertEquals(
        List.of("flights"), column(told.getTables(null, "public", "%", null), "TABLE_NAME"));
    assertEquals(
        List.of("clients", "holders", "objects", "settings"),
        column(told.getTables("sheaf", null, null, new String[] {"SYSTEM TABLE"}), "TABLE_NAME"));
    assertEquals(
        List.of("id", "carrier", "delay"),
        column(told.getColumns(null, "public", "flights", "%"), "COLUMN_NAME"));
    assertEquals(
        List.of(Types.BIGINT, Types.VARCHAR, Types.DOUBLE),
        column(told.getColumns("sheaf", "public", "fl%", null), "DATA_TYPE"));
    assertEquals(List.of(), rows(told.getPrimaryKeys(null, "public", "flights")));
    assertEquals(List.of(), rows(told.getImportedKeys(null, "public", "flights")));
    assertEquals(List.of(), rows(told.getExportedKeys(null, "public", "flights")));
    assertEquals(List.of(), rows(told.getIndexInfo(null, "public", "flights", false, false)));
  }

  @Test
  void changesHaveCountsAndQueriesHaveRows() throws Exception {
    assertEquals(2, update("insert into flights values (3, 'SQ', 2.5), (4, 'SQ', 3.5)"));
    try (var words = connection.createStatement()) {
      assertFalse(words.execute("insert into flights values (5, null, 0.0)"));
      assertEquals(1, words.getUpdateCount());
      assertTrue(words.execute("select count(*), sum(delay) from flights"));
      assertEquals(List.of(List.of(5L, 7.5)), rows(words.getResultSet()));
    }
    update("drop table flights");
    var error = assertThrows(SQLException.class, () -> query("select * from flights"));
    assertTrue(error.getMessage().contains("there is no table flights"), error.getMessage());
  }

  @Test
  void parametersAreBoundAgainAndInBatches() throws Exception {
    try (var words = connection.prepareStatement("select id from flights where carrier = ?")) {
      for (var wanted : List.of("AA", "LH", "nobody")) {
        words.setString(1, wanted);
        assertEquals(wanted.equals("nobody") ? 0 : 1, rows(words.executeQuery()).size());
      }
      assertEquals(1, words.getParameterMetaData().getParameterCount());
    }
    try (var words = connection.prepareStatement("insert into flights values (?, ?, ?)")) {
      for (long id = 10; id < 15; id++) {
        words.setLong(1, id);
        words.setString(2, "XX");
        words.setDouble(3, id);
        words.addBatch();
      }
      words.executeBatch();
    }
    assertEquals(
        List.of(List.of(5L, 60.0)),
        query("select count(*), sum(delay) from flights where carrier = 'XX'"));
  }

  @Test
  void everyTypeIsRead() throws Exception {
    var statement =
        "select true, arrow_cast(-1, 'Int8'), arrow_cast(-2, 'Int16'), arrow_cast(-3, 'Int32'), -4, "
            + "arrow_cast(5, 'UInt8'), arrow_cast(6, 'UInt16'), arrow_cast(7, 'UInt32'), "
            + "arrow_cast(8, 'UInt64'), arrow_cast(1.5, 'Float32'), 2.5, "
            + "arrow_cast(1.25, 'Decimal128(10, 2)'), 'text', arrow_cast('large', 'LargeUtf8'), "
            + "arrow_cast('view', 'Utf8View'), x'0102', date '2026-01-02', time '03:04:05', "
            + "timestamp '2026-01-02T03:04:05', null, "
            + "arrow_cast('word', 'Dictionary(Int32, Utf8)'), [1, 2, 3]";
    try (var words = connection.createStatement();
        var result = words.executeQuery(statement)) {
      assertTrue(result.next());
      assertTrue(result.getBoolean(1));
      for (int column = 2; column <= 5; column++) {
        assertEquals(1 - column, result.getInt(column));
      }
      for (int column = 6; column <= 9; column++) {
        assertEquals(column - 1, result.getLong(column));
      }
      assertEquals(1.5f, result.getFloat(10));
      assertEquals(2.5, result.getDouble(11));
      assertEquals(new BigDecimal("1.25"), result.getBigDecimal(12));
      assertEquals("text", result.getString(13));
      assertEquals("large", result.getString(14));
      assertEquals("view", result.getString(15));
      assertArrayEquals(new byte[] {1, 2}, result.getBytes(16));
      assertEquals(Date.valueOf("2026-01-02"), result.getDate(17));
      assertEquals(Time.valueOf("03:04:05").toString(), result.getTime(18).toString());
      assertTrue(result.getTimestamp(19).toString().startsWith("2026-01-02 03:04:05"));
      assertEquals(null, result.getObject(20));
      assertTrue(result.wasNull());
      assertEquals("word", result.getString(21));
      assertEquals(3, ((Object[]) result.getArray(22).getArray()).length);
      assertFalse(result.next());
    }
  }

  @Test
  void largeResultsStream() throws Exception {
    try (var words = connection.createStatement();
        var result = words.executeQuery("select value, value * 2 from generate_series(1, 300000)")) {
      long sum = 0;
      while (result.next()) {
        sum += result.getLong(2) - result.getLong(1);
      }
      assertEquals(300000L * 300001L / 2, sum);
    }
  }
}

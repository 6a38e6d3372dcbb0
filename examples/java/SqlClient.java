import java.sql.DriverManager;

/** Asks a Sheaf store in SQL by JDBC: any tool that has the driver can do the same. */
public class SqlClient {
  public static void main(String[] arguments) throws Exception {
    var at = arguments.length > 0 ? arguments[0] : "127.0.0.1:8815";
    var url = "jdbc:arrow-flight-sql://" + at + "/?useEncryption=false";
    try (var connection = DriverManager.getConnection(url);
        var statement = connection.createStatement()) {
      statement.executeUpdate(
          "create or replace table delays as select * from (values ('AA', 5), ('LH', 20)) "
              + "as t (carrier, delay)");
      try (var late = connection.prepareStatement("select carrier from delays where delay > ?")) {
        late.setLong(1, 10);
        try (var result = late.executeQuery()) {
          while (result.next()) {
            System.out.println(result.getString("carrier") + " is late");
          }
        }
      }
    }
  }
}

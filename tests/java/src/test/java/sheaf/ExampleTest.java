package sheaf;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.Method;
import org.junit.jupiter.api.Test;

/** The example in the documentation runs, and prints what it says. */
class ExampleTest {
  private static String printed(String example, String address) throws Exception {
    var printed = new ByteArrayOutputStream();
    var before = System.out;
    // Classes without a package can't be named from within one.
    Method main = Class.forName(example).getMethod("main", String[].class);
    try {
      System.setOut(new PrintStream(printed));
      main.invoke(null, (Object) new String[] {address});
    } finally {
      System.setOut(before);
    }
    return printed.toString();
  }

  @Test
  void theExampleReadsWhatItPut() throws Exception {
    try (var endpoint = Endpoint.start()) {
      var address = endpoint.location().getUri().toString();
      assertEquals(
          "[java/prices]: 2 rows\nprice\n1.5\n2.5\n", printed("FlightClient", address));
    }
  }

  @Test
  void theExampleInSqlFindsWhoIsLate() throws Exception {
    try (var endpoint = Endpoint.start()) {
      var address = endpoint.url.replace("grpc://", "");
      assertEquals("LH is late\n", printed("SqlClient", address));
    }
  }
}

package sheaf;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.Method;
import org.junit.jupiter.api.Test;

/** The example in the documentation runs, and prints what it says. */
class ExampleTest {
  @Test
  void theExampleReadsWhatItPut() throws Exception {
    var printed = new ByteArrayOutputStream();
    var before = System.out;
    // Classes without a package can't be named from within one.
    Method main = Class.forName("FlightClient").getMethod("main", String[].class);
    try (var endpoint = Endpoint.start()) {
      System.setOut(new PrintStream(printed));
      main.invoke(null, (Object) new String[] {endpoint.location().getUri().toString()});
    } finally {
      System.setOut(before);
    }
    assertEquals("[java/prices]: 2 rows\nprice\n1.5\n2.5\n", printed.toString());
  }
}

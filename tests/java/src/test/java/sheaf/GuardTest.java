package sheaf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.grpc.CredentialCallOption;
import org.apache.arrow.flight.auth2.BearerCredentialWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Tokens and TLS, as Java's client shows and checks them. */
class GuardTest {
  private static FlightStatusCode code(Executable call) {
    return assertThrows(FlightRuntimeException.class, call).status().code();
  }

  /** A new token in the file of tokens. */
  private static String token(Path folder, String name, String... options) throws Exception {
    var file = folder.resolve("tokens").toString();
    var arguments = new ArrayList<>(List.of("token", name, "--file", file));
    arguments.addAll(List.of(options));
    var process = Endpoint.sheaf(arguments).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    var token = new String(process.getInputStream().readAllBytes()).strip();
    assertEquals(0, process.waitFor());
    return token;
  }

  private static CallOption bearer(String token) {
    return new CredentialCallOption(new BearerCredentialWriter(token));
  }

  @Test
  void whoShowsATokenMayDoWhatItSays() throws Exception {
    var folder = Files.createTempDirectory("sheaf-java-");
    var reader = token(folder, "reader");
    var writer = token(folder, "writer", "--write");
    var tokens = folder.resolve("tokens").toString();
    try (var endpoint = Endpoint.start(folder, "--token-file", tokens);
        var client = endpoint.client();
        var table = Tables.numbers(endpoint.allocator, 0, 10)) {
      assertEquals(FlightStatusCode.UNAUTHENTICATED, code(() -> Tables.get(client, "t")));
      assertEquals(
          FlightStatusCode.UNAUTHENTICATED, code(() -> Tables.get(client, "t", bearer("wrong"))));
      assertEquals(
          FlightStatusCode.UNAUTHORIZED,
          code(() -> Tables.put(client, "t", table, bearer(reader))));
      Tables.put(client, "t", table, bearer(writer));
      assertEquals(10, Tables.get(client, "t", bearer(reader)).values().size());

      // As JDBC and everybody with a user and a password: Basic, and a session's Bearer for it.
      var session = client.authenticateBasicToken("anybody", reader).orElseThrow();
      assertEquals(10, Tables.get(client, "t", session).values().size());
      assertEquals(
          FlightStatusCode.UNAUTHENTICATED,
          code(() -> client.authenticateBasicToken("anybody", "wrong")));
    }
  }

  @Test
  void overTlsTheServerIsWhoItSays() throws Exception {
    var folder = Files.createTempDirectory("sheaf-java-");
    var certificate = folder.resolve("lab.crt");
    var key = folder.resolve("lab.key");
    var made =
        new ProcessBuilder(
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout", key.toString(), "-out", certificate.toString())
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertEquals(0, made.waitFor());

    try (var endpoint =
        Endpoint.start(folder, "--tls-cert", certificate.toString(), "--tls-key", key.toString())) {
      int port = endpoint.location().getUri().getPort();
      var location = Location.forGrpcTls("localhost", port);
      var builder = FlightClient.builder(endpoint.allocator, location).useTls();
      try (var trusted = Files.newInputStream(certificate);
          var client = builder.trustedCertificates(trusted).build();
          var table = Tables.numbers(endpoint.allocator, 0, 100_000)) {
        Tables.put(client, "t", table);
        assertEquals(100_000, Tables.get(client, "t").values().size());
      }
      try (var doubtful = FlightClient.builder(endpoint.allocator, location).useTls().build()) {
        assertEquals(FlightStatusCode.UNAVAILABLE, code(() -> Tables.get(doubtful, "t")));
      }
    }
  }
}

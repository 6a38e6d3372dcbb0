package sheaf;

import org.apache.arrow.flight.FlightClient;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Tests that have an endpoint of their own, and a client with default options. */
abstract class WithEndpoint {
  Endpoint endpoint;
  FlightClient client;

  @BeforeEach
  void connect() throws Exception {
    endpoint = Endpoint.start();
    client = endpoint.client();
  }

  @AfterEach
  void disconnect() throws Exception {
    client.close();
    endpoint.close();
  }
}

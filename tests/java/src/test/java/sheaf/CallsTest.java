package sheaf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightCallHeaders;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.HeaderCallOption;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Every call but for the data of get and put. */
class CallsTest extends WithEndpoint {
  private VectorSchemaRoot table;

  @BeforeEach
  void makeTable() {
    table = Tables.numbers(endpoint.allocator, 0, 10);
  }

  @AfterEach
  void closeTable() {
    table.close();
  }

  private static FlightStatusCode code(Executable call) {
    return assertThrows(FlightRuntimeException.class, call).status().code();
  }

  private List<String> act(String action, String body) {
    var results = new ArrayList<String>();
    client
        .doAction(new Action(action, body.getBytes(UTF_8)))
        .forEachRemaining(result -> results.add(new String(result.getBody(), UTF_8)));
    return results;
  }

  @Test
  void aListHasWhatWasPutUnderAPrefix() {
    for (var name : List.of("a/1", "a/2", "b")) {
      Tables.put(client, name, table);
    }

    var names = new ArrayList<String>();
    for (var info : client.listFlights(new Criteria("a/".getBytes(UTF_8)))) {
      names.addAll(info.getDescriptor().getPath());
      assertEquals(10, info.getRecords());
    }

    assertEquals(List.of("a/1", "a/2"), names);
  }

  @Test
  void anInfoTellsSchemaTotalsAndWhereTheSameBytesCanBeMapped() {
    Tables.put(client, "t", table);
    var descriptor = FlightDescriptor.path("t");

    var info = client.getInfo(descriptor);

    assertEquals(table.getSchema(), info.getSchemaOptional().orElseThrow());
    assertEquals(table.getSchema(), client.getSchema(descriptor).getSchema());
    assertEquals(10, info.getRecords());
    assertTrue(info.getBytes() > 80);
    assertTrue(info.getOrdered());
    assertEquals(1, info.getEndpoints().size());
    assertTrue(info.getEndpoints().get(0).getLocations().isEmpty());
    var socket = endpoint.folder.resolve("store.sock").toString();
    assertTrue(new String(info.getAppMetadata(), UTF_8).contains(socket));
  }

  @Test
  void actionsAreListedAndDone() {
    Tables.put(client, "t", table);

    var types = new ArrayList<String>();
    client.listActions().forEach(type -> types.add(type.getType()));
    assertTrue(types.containsAll(List.of("delete", "info", "list", "stat", "wait")), "" + types);
    assertTrue(act("info", "{\"name\": \"t\"}").get(0).contains("\"rows\":10"));
    assertTrue(act("wait", "{\"name\": \"t\"}").get(0).contains("\"sealed\""));
    assertEquals(List.of("{}"), act("delete", "{\"name\": \"t\"}"));
    assertEquals(List.of(), act("list", ""));
  }

  @Test
  void whatGoesWrongHasItsCode() throws Exception {
    Tables.put(client, "t", table);

    assertEquals(FlightStatusCode.NOT_FOUND, code(() -> Tables.get(client, "nothing")));
    assertEquals(
        FlightStatusCode.NOT_FOUND, code(() -> client.getInfo(FlightDescriptor.path("nothing"))));
    assertEquals(
        FlightStatusCode.ALREADY_EXISTS, code(() -> Tables.put(client, "t", table)));
    assertEquals(
        FlightStatusCode.INVALID_ARGUMENT, code(() -> Tables.put(client, "x".repeat(256), table)));
    assertEquals(
        FlightStatusCode.INVALID_ARGUMENT,
        code(() -> client.getInfo(FlightDescriptor.path("a", "b"))));
    assertEquals(FlightStatusCode.INVALID_ARGUMENT, code(() -> act("info", "{")));
    assertEquals(FlightStatusCode.UNIMPLEMENTED, code(() -> act("fly", "")));
    assertEquals(
        FlightStatusCode.TIMED_OUT,
        code(() -> act("wait", "{\"name\": \"never\", \"timeout_ms\": 10}")));
    assertEquals(10, Tables.get(client, "t").values().size());
  }

  @Test
  void aHeaderReplacesAnObject() throws Exception {
    Tables.put(client, "t", table);
    var headers = new FlightCallHeaders();
    headers.insert("sheaf-replace", "true");
    CallOption replace = new HeaderCallOption(headers);

    try (var other = Tables.numbers(endpoint.allocator, 100, 2)) {
      Tables.put(client, "t", other, replace);
    }

    assertEquals(List.of(100L, 101L), Tables.get(client, "t").values());
  }
}

import java.util.List;
import org.apache.arrow.flight.AsyncPutListener;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.VectorSchemaRoot;

/** Puts a table into a Sheaf store by Arrow Flight, lists what is there, and reads it back. */
public class FlightClient {
  public static void main(String[] arguments) throws Exception {
    var location = new Location(arguments.length > 0 ? arguments[0] : "grpc+tcp://127.0.0.1:8815");
    try (var allocator = new RootAllocator();
        var client = org.apache.arrow.flight.FlightClient.builder(allocator, location).build();
        var price = new Float8Vector("price", allocator);
        var table = new VectorSchemaRoot(List.of(price))) {
      var prices = FlightDescriptor.path("java/prices");

      price.allocateNew(2);
      price.setSafe(0, 1.5);
      price.setSafe(1, 2.5);
      table.setRowCount(2);
      var upload = client.startPut(prices, table, new AsyncPutListener());
      upload.putNext();
      upload.completed();
      upload.getResult();

      for (FlightInfo info : client.listFlights(Criteria.ALL)) {
        System.out.println(info.getDescriptor().getPath() + ": " + info.getRecords() + " rows");
      }

      var endpoint = client.getInfo(prices).getEndpoints().get(0);
      try (FlightStream stream = client.getStream(endpoint.getTicket())) {
        while (stream.next()) {
          System.out.print(stream.getRoot().contentToTSVString());
        }
      }
    }
  }
}

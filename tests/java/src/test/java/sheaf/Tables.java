package sheaf;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.List;
import org.apache.arrow.flight.AsyncPutListener;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.VectorSchemaRoot;

/** Tables of one column of numbers, put and got whole. */
final class Tables {
  private Tables() {}

  /** The numbers from {@code first} on. */
  static VectorSchemaRoot numbers(BufferAllocator allocator, long first, int rows) {
    var column = new BigIntVector("k", allocator);
    column.allocateNew(rows);
    for (int row = 0; row < rows; row++) {
      column.set(row, first + row);
    }
    var root = new VectorSchemaRoot(List.of(column));
    root.setRowCount(rows);
    return root;
  }

  /** Puts one batch. */
  static void put(FlightClient client, String name, VectorSchemaRoot root, CallOption... options) {
    var descriptor = FlightDescriptor.path(name);
    var upload = client.startPut(descriptor, root, new AsyncPutListener(), options);
    upload.putNext();
    upload.completed();
    upload.getResult();
  }

  /** All numbers of a stored table, and how many batches they came in. */
  record Numbers(List<Long> values, int batches) {}

  static Numbers get(FlightClient client, String name, CallOption... options) throws Exception {
    var values = new ArrayList<Long>();
    int batches = 0;
    try (FlightStream stream = client.getStream(new Ticket(name.getBytes(UTF_8)), options)) {
      while (stream.next()) {
        var column = (BigIntVector) stream.getRoot().getVector("k");
        for (int row = 0; row < column.getValueCount(); row++) {
          values.add(column.get(row));
        }
        batches++;
      }
    }
    return new Numbers(values, batches);
  }
}

package sheaf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.AsyncPutListener;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.SyncPutListener;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.StructVector;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.dictionary.DictionaryEncoder;
import org.apache.arrow.vector.dictionary.DictionaryProvider.MapDictionaryProvider;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.junit.jupiter.api.Test;

/** What is put comes back. */
class DataTest extends WithEndpoint {
  @Test
  void everyBatchIsAcknowledgedWithItsMetadata() throws Exception {
    var listener = new SyncPutListener();
    try (var table = Tables.numbers(endpoint.allocator, 0, 1000)) {
      var upload = client.startPut(FlightDescriptor.path("t"), table, listener);
      for (int batch = 0; batch < 3; batch++) {
        var metadata = endpoint.allocator.buffer(1);
        metadata.writeByte('0' + batch);
        upload.putNext(metadata);
        try (var acknowledged = listener.read()) {
          assertEquals('0' + batch, acknowledged.getApplicationMetadata().getByte(0));
        }
      }
      upload.completed();
      assertNull(listener.read());
      upload.getResult();
    } finally {
      listener.close();
    }

    var read = new ArrayList<Byte>();
    try (var stream = client.getStream(new Ticket("t".getBytes(UTF_8)))) {
      while (stream.next()) {
        assertEquals(1000, stream.getRoot().getRowCount());
        read.add(stream.getLatestMetadata().getByte(0));
      }
    }
    assertEquals(List.of((byte) '0', (byte) '1', (byte) '2'), read);
  }

  @Test
  void nullsAndNestedValuesComeBack() throws Exception {
    try (var word = new VarCharVector("word", endpoint.allocator);
        var list = ListVector.empty("list", endpoint.allocator);
        var both = StructVector.empty("both", endpoint.allocator)) {
      word.allocateNew();
      var lists = list.getWriter();
      var number = both.addOrGet("n", FieldType.nullable(new ArrowType.Int(32, true)), IntVector.class);
      both.allocateNew();
      for (int row = 0; row < 100; row++) {
        if (row % 3 > 0) {
          word.setSafe(row, ("row " + row).getBytes(UTF_8));
        }
        lists.setPosition(row);
        if (row % 5 > 0) {
          lists.startList();
          for (int item = 0; item < row % 4; item++) {
            lists.writeInt(item);
          }
          lists.endList();
        }
        if (row % 7 > 0) {
          both.setIndexDefined(row);
          number.setSafe(row, row);
        }
      }
      word.setValueCount(100);
      list.setValueCount(100);
      both.setValueCount(100);
      var table = new VectorSchemaRoot(List.of(word, list, both));
      table.setRowCount(100);
      Tables.put(client, "t", table);

      try (var stream = client.getStream(new Ticket("t".getBytes(UTF_8)))) {
        assertEquals(table.getSchema(), stream.getSchema());
        assertTrue(stream.next());
        assertTrue(table.equals(stream.getRoot()), stream.getRoot().contentToTSVString());
        assertEquals(34, stream.getRoot().getVector("word").getNullCount());
      }
    }
  }

  @Test
  void dictionariesStayDictionaries() throws Exception {
    try (var words = new VarCharVector("words", endpoint.allocator);
        var plain = new VarCharVector("word", endpoint.allocator)) {
      var all = List.of("one", "two", "three");
      for (int index = 0; index < all.size(); index++) {
        words.setSafe(index, all.get(index).getBytes(UTF_8));
      }
      words.setValueCount(all.size());
      for (int row = 0; row < 100; row++) {
        if (row % 7 > 0) {
          plain.setSafe(row, all.get(row % 3).getBytes(UTF_8));
        }
      }
      plain.setValueCount(100);
      var dictionary = new Dictionary(words, new DictionaryEncoding(7, false, null));
      try (var encoded = (FieldVector) DictionaryEncoder.encode(plain, dictionary);
          var table = new VectorSchemaRoot(List.of(encoded.getField()), List.of(encoded))) {
        var provider = new MapDictionaryProvider(dictionary);
        var listener = new AsyncPutListener();
        var upload = client.startPut(FlightDescriptor.path("t"), table, provider, listener);
        upload.putNext();
        upload.putNext();
        upload.completed();
        upload.getResult();
      }

      int batches = 0;
      try (var stream = client.getStream(new Ticket("t".getBytes(UTF_8)))) {
        while (stream.next()) {
          var column = stream.getRoot().getVector("word");
          var encoding = column.getField().getDictionary();
          assertEquals(new ArrowType.Int(32, true), encoding.getIndexType());
          var known = stream.getDictionaryProvider().lookup(encoding.getId());
          try (var decoded = DictionaryEncoder.decode(column, known)) {
            for (int row = 0; row < 100; row++) {
              assertEquals(plain.getObject(row), decoded.getObject(row));
            }
          }
          batches++;
        }
      }
      assertEquals(2, batches);
    }
  }

  @Test
  void whatIsLargeGoesAndComesWithDefaultOptions() throws Exception {
    int rows = 2_000_000;
    try (var table = Tables.numbers(endpoint.allocator, 0, rows)) {
      Tables.put(client, "t", table);
    }

    var numbers = Tables.get(client, "t");

    assertEquals(LongStream.range(0, rows).boxed().toList(), numbers.values());
    assertTrue(numbers.batches() >= 4, "16 MB in messages of at most 4 MiB");
  }

  @Test
  void anUploadThatIsGivenUpLeavesNothing() throws Exception {
    try (var table = Tables.numbers(endpoint.allocator, 0, 1000)) {
      var listener = new AsyncPutListener();
      var upload = client.startPut(FlightDescriptor.path("t"), table, listener);
      upload.putNext();
      upload.error(new RuntimeException("the program has changed its mind"));
      try {
        upload.getResult();
      } catch (FlightRuntimeException told) {
        // Its own words.
      }
    }

    var end = System.nanoTime() + 30_000_000_000L;
    while (client.doAction(new Action("list")).hasNext()) {
      assertTrue(System.nanoTime() < end, "a draft is left");
    }
  }
}

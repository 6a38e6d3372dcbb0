package sheaf;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.Location;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;

/** A store with a Flight endpoint as a process of its own, and clients of it. Ends when closed. */
final class Endpoint implements AutoCloseable {
  private static final String SAYS = "sheaf: Arrow Flight at ";

  final BufferAllocator allocator = new RootAllocator();
  final Path folder;
  final String url;
  private final Process process;

  private Endpoint(Path folder, Process process, String url) {
    this.folder = folder;
    this.process = process;
    this.url = url;
  }

  static Endpoint start() throws IOException {
    return start(Files.createTempDirectory("sheaf-java-"));
  }

  /** An endpoint whose files are in this folder, with more options. */
  static Endpoint start(Path folder, String... options) throws IOException {
    var socket = folder.resolve("store.sock").toString();
    var command = new ArrayList<>(List.of("serve", "--memory", "256MiB", "--socket", socket));
    command.addAll(List.of("--flight", "127.0.0.1:0"));
    command.addAll(List.of(options));
    var process = sheaf(command).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
    String url = null;
    BufferedReader said = process.errorReader();
    for (var line = said.readLine(); !line.contains("serving at"); line = said.readLine()) {
      if (line.startsWith(SAYS)) {
        url = line.substring(SAYS.length());
      }
    }
    // It goes on to say things, and must not die of it.
    var drain = new Thread(() -> drain(process));
    drain.setDaemon(true);
    drain.start();
    return new Endpoint(folder, process, url);
  }

  /** The program under test, with these arguments. */
  static ProcessBuilder sheaf(List<String> arguments) {
    var program = System.getenv("SHEAF_BIN");
    if (program == null) {
      throw new IllegalStateException("SHEAF_BIN names the program: run `cargo xtask java`");
    }
    var command = new ArrayList<>(List.of(program));
    command.addAll(arguments);
    return new ProcessBuilder(command);
  }

  private static void drain(Process process) {
    try {
      process.getErrorStream().transferTo(OutputStream.nullOutputStream());
    } catch (IOException gone) {
      // The process has ended.
    }
  }

  Location location() {
    return uri(url.replace("grpc://", "grpc+tcp://"));
  }

  private static Location uri(String text) {
    return new Location(java.net.URI.create(text));
  }

  /** A client with default options. */
  FlightClient client() {
    return FlightClient.builder(allocator, location()).build();
  }

  @Override
  public void close() throws Exception {
    process.destroy();
    if (!process.waitFor(30, TimeUnit.SECONDS)) {
      process.destroyForcibly().waitFor();
    }
    try (var files = Files.walk(folder)) {
      for (var file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
    // Throws if a client has leaked memory.
    allocator.close();
  }
}

// The matrix program in Java (NIO channels, a virtual thread for each connection where the JDK has them); README.md says what the steps do.
import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.nio.file.attribute.PosixFilePermission;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class App {
    static String name = "Java";

    static InetSocketAddress address(String text) throws IOException {
        int at = text.lastIndexOf(':');
        String host = text.substring(0, at).replace("[", "").replace("]", "");
        return new InetSocketAddress(InetAddress.getByName(host), Integer.parseInt(text.substring(at + 1)));
    }
    static String line(ByteBuffer b) {
        b.flip();
        return StandardCharsets.UTF_8.decode(b).toString().trim();
    }
    static String tcp(String text) throws IOException { // non-blocking, with a selector registered before the connect
        try (Selector selector = Selector.open(); SocketChannel c = SocketChannel.open()) {
            c.configureBlocking(false);
            c.register(selector, SelectionKey.OP_CONNECT);
            if (!c.connect(address(text))) {
                selector.select(20_000);
                c.finishConnect();
            }
            c.write(ByteBuffer.wrap("ping\n".getBytes()));
            c.keyFor(selector).interestOps(SelectionKey.OP_READ);
            selector.select(20_000);
            ByteBuffer b = ByteBuffer.allocate(100);
            c.read(b);
            return line(b);
        }
    }
    static String udp(String text) throws IOException {
        try (DatagramSocket s = new DatagramSocket()) {
            s.setSoTimeout(10_000);
            s.connect(address(text));
            s.send(new DatagramPacket("ping".getBytes(), 4));
            DatagramPacket p = new DatagramPacket(new byte[100], 100);
            s.receive(p);
            return new String(p.getData(), 0, p.getLength());
        }
    }
    static String udpto(String text) throws IOException {
        try (DatagramSocket s = new DatagramSocket()) {
            s.setSoTimeout(10_000);
            s.send(new DatagramPacket("ping".getBytes(), 4, address(text)));
            DatagramPacket p = new DatagramPacket(new byte[100], 100);
            s.receive(p);
            return new String(p.getData(), 0, p.getLength()) + " from " + p.getAddress().getHostAddress() + ":" + p.getPort();
        }
    }
    static String dns(String host) throws IOException {
        for (InetAddress a : InetAddress.getAllByName(host)) if (a instanceof Inet4Address) return a.getHostAddress();
        return "no address";
    }
    static String read(String path) throws IOException { return Files.readString(Path.of(path)).trim(); }
    static String stat(String path) throws IOException {
        return Files.size(Path.of(path)) + " " + Integer.toOctalString((Integer) Files.getAttribute(Path.of(path), "unix:mode") & 07777);
    }
    static String list(String path) throws IOException {
        try (Stream<Path> entries = Files.list(Path.of(path))) {
            return entries.map(p -> p.getFileName().toString()).sorted().collect(Collectors.joining(","));
        }
    }
    static String child(String path) throws IOException {
        return new String(new ProcessBuilder("cat", path).start().getInputStream().readAllBytes()).trim();
    }
    static ExecutorService executor() {
        try { // JDK 21
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException e) {
            return Executors.newCachedThreadPool();
        }
    }
    static String serve(String port) throws Exception {
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            System.out.println("serve sigterm");
            Runtime.getRuntime().halt(0); // the JVM's own status would be 143
        }));
        ServerSocket l = new ServerSocket(Integer.parseInt(port));
        ExecutorService executor = executor();
        while (true) {
            Socket s = l.accept();
            executor.submit(() -> {
                try (s) {
                    s.getInputStream().read(new byte[4096]);
                    String body = name + " peer " + s.getInetAddress().getHostAddress();
                    s.getOutputStream().write(("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + body.length() + "\r\n\r\n" + body).getBytes());
                } catch (IOException e) {
                    System.out.println("serve " + e);
                }
            });
        }
    }
    public static void main(String[] words) {
        for (String word : words) {
            String step = word.substring(0, word.indexOf('=')), value = word.substring(word.indexOf('=') + 1), result;
            if (step.equals("name")) {
                name = value;
                continue;
            }
            try {
                result = switch (step) {
                    case "tcp", "tcp6", "refused", "unreachable" -> tcp(value);
                    case "udp" -> udp(value);
                    case "udpto" -> udpto(value);
                    case "dns" -> dns(value);
                    case "srv" -> "-";
                    case "read", "missing" -> read(value);
                    case "stat" -> stat(value);
                    case "list" -> list(value);
                    case "write" -> {
                        Files.writeString(Path.of(value), "written by " + name + "\n");
                        yield read(value);
                    }
                    case "child" -> child(value);
                    default -> serve(value);
                };
            } catch (Exception e) {
                result = e.getClass().getSimpleName() + " " + e.getMessage();
            }
            System.out.println(step + " " + result);
        }
    }
}

// The matrix program in Rust (std only); README.md says what the steps do.
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type Outcome = Result<String, Box<dyn std::error::Error>>;

static ENDED: AtomicBool = AtomicBool::new(false);
extern "C" fn on_term(_: i32) {
    ENDED.store(true, Ordering::SeqCst);
}
extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}

fn tcp(text: &str) -> Outcome {
    let mut s = TcpStream::connect(text)?;
    s.set_read_timeout(Some(Duration::from_secs(20)))?;
    s.write_all(b"ping\n")?;
    let mut b = [0; 100];
    let n = s.read(&mut b)?;
    Ok(String::from_utf8_lossy(&b[..n]).trim().to_string())
}
fn bound(text: &str) -> std::io::Result<UdpSocket> {
    let v6 = text.to_socket_addrs()?.next().map_or(false, |a| a.is_ipv6());
    let s = UdpSocket::bind(if v6 { "[::]:0" } else { "0.0.0.0:0" })?;
    s.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(s)
}
fn udp(text: &str) -> Outcome {
    let s = bound(text)?;
    s.connect(text)?;
    s.send(b"ping")?;
    let mut b = [0; 100];
    let n = s.recv(&mut b)?;
    Ok(String::from_utf8_lossy(&b[..n]).to_string())
}
fn udpto(text: &str) -> Outcome {
    let s = bound(text)?;
    s.send_to(b"ping", text)?;
    let mut b = [0; 100];
    let (n, from) = s.recv_from(&mut b)?;
    Ok(format!("{} from {}", String::from_utf8_lossy(&b[..n]), from))
}
fn dns(host: &str) -> Outcome {
    let found = (host, 0).to_socket_addrs()?.find(|a| a.is_ipv4()).ok_or("no address")?;
    Ok(found.ip().to_string())
}
fn srv(name: &str) -> Outcome {
    let text = std::fs::read_to_string("/etc/resolv.conf")?;
    let server: IpAddr = text.lines().find_map(|l| l.strip_prefix("nameserver ")).ok_or("no nameserver")?.trim().parse()?;
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 33, 0, 1]);
    let s = bound(&(if server.is_ipv6() { format!("[{server}]:53") } else { format!("{server}:53") }))?;
    s.send_to(&question, (server, 53))?;
    let mut b = [0; 4096];
    let (_, from) = s.recv_from(&mut b)?;
    if from.ip() != server {
        return Ok(format!("from {from}"));
    }
    let mut at = question.len(); // a name is labels up to an empty one, or up to a pointer of two bytes
    while b[at] > 0 && b[at] < 0xc0 {
        at += 1 + b[at] as usize;
    }
    at += if b[at] > 0 { 16 } else { 15 }; // type, class, ttl, length, priority, weight, port
    Ok(u16::from_be_bytes([b[at], b[at + 1]]).to_string())
}
fn read(path: &str) -> Outcome {
    Ok(std::fs::read_to_string(path)?.trim().to_string())
}
fn stat(path: &str) -> Outcome {
    let m = std::fs::metadata(path)?;
    Ok(format!("{} {:o}", m.len(), m.permissions().mode() & 0o7777))
}
fn list(path: &str) -> Outcome {
    let mut names: Vec<String> = std::fs::read_dir(path)?.map(|e| e.map(|e| e.file_name().to_string_lossy().to_string())).collect::<Result<_, _>>()?;
    names.sort();
    Ok(names.join(","))
}
fn child(path: &str) -> Outcome {
    Ok(String::from_utf8_lossy(&Command::new("cat").arg(path).output()?.stdout).trim().to_string())
}
fn serve(name: &str, port: &str) -> Outcome {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port.parse()?))?;
    unsafe { signal(15, on_term) };
    let name = name.to_string();
    std::thread::spawn(move || {
        while let Ok((mut s, peer)) = listener.accept() {
            let ip = peer.ip().to_canonical();
            let body = format!("{name} peer {ip}");
            let _ = s.read(&mut [0; 4096]);
            let _ = write!(s, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    while !ENDED.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok("sigterm".into())
}

fn main() {
    let mut name = "Rust".to_string();
    for word in std::env::args().skip(1) {
        let (step, value) = word.split_once('=').expect("step=value");
        let outcome = match step {
            "name" => {
                name = value.to_string();
                continue;
            }
            "tcp" | "tcp6" | "refused" | "unreachable" => tcp(value),
            "udp" => udp(value),
            "udpto" => udpto(value),
            "dns" => dns(value),
            "srv" => srv(value),
            "read" | "missing" => read(value),
            "stat" => stat(value),
            "list" => list(value),
            "write" => std::fs::write(value, format!("written by {name}\n")).map_err(Into::into).and_then(|()| read(value)),
            "child" => child(value),
            _ => serve(&name, value),
        };
        println!("{step} {}", outcome.unwrap_or_else(|e| e.to_string()));
    }
}

//! `bundle fetch` against a server on loopback that cuts off, ignores ranges, and serves other files.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{command, lines, refusal, text};

/// What the server does with the next request.
#[derive(Clone, Copy)]
enum Reply {
    /// What was asked for, with ranges; the connection is closed after so many bytes of the body.
    Cut(usize),
    /// What was asked for, with ranges.
    Ranges,
    /// The whole file, whatever was asked for.
    Whole,
    /// The whole file in pieces, without saying how long it is.
    Unsized,
    /// A part that begins elsewhere.
    Elsewhere,
    Status(&'static str),
}

/// The path of a request, and its `Range`.
type Request = (String, Option<String>);

/// Answers one request after another; ends when the replies are used up.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Request>>>,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(file: Vec<u8>, replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let thread = std::thread::spawn(move || {
            for reply in replies {
                let (stream, _) = listener.accept().unwrap();
                let request = read_request(&stream);
                answer(&stream, &file, reply, request.1.as_deref());
                log.lock().unwrap().push(request);
            }
        });
        Self {
            address,
            asked,
            thread,
        }
    }

    /// What was asked for; every reply must have been used.
    fn finish(self) -> Vec<Request> {
        self.thread.join().unwrap();
        Arc::try_unwrap(self.asked).unwrap().into_inner().unwrap()
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut range = None;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.to_owned());
        }
    }
    (path, range)
}

fn answer(mut stream: &TcpStream, file: &[u8], reply: Reply, range: Option<&str>) {
    let start = range.map_or(0, |range| {
        range["bytes=".len()..range.len() - 1].parse().unwrap()
    });
    let (start, count) = match reply {
        Reply::Status(status) => {
            write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
            return;
        }
        Reply::Whole | Reply::Unsized => (0, usize::MAX),
        Reply::Elsewhere => (start + 1, usize::MAX),
        Reply::Ranges => (start, usize::MAX),
        Reply::Cut(count) => (start, count),
    };
    let body = &file[start..];
    let mut head = String::from("HTTP/1.1 ");
    if start > 0 {
        let (last, total) = (file.len() - 1, file.len());
        head += &format!("206 Partial Content\r\ncontent-range: bytes {start}-{last}/{total}\r\n");
    } else {
        head += "200 OK\r\n";
    }
    if !matches!(reply, Reply::Unsized) {
        head += &format!("content-length: {}\r\n", body.len());
    }
    write!(stream, "{head}connection: close\r\n\r\n").unwrap();
    // The other side may have seen enough and closed.
    let _ = stream.write_all(&body[..count.min(body.len())]);
}

fn content() -> Vec<u8> {
    (0..300_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// A manifest in `folder` that publishes `file` as `thing`.
fn registry(folder: &Path, file: &[u8]) -> String {
    let hash: String = Sha256::digest(file)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let text = format!(
        "[[file]]\nname = \"thing\"\nkind = \"bundle\"\nfile = \"thing.lens\"\nbytes = {}\nsha256 = \"{hash}\"\n\
         licence = \"MIT\"\nsource = \"models/thing.lens\"\n",
        file.len()
    );
    let path = folder.join("registry.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A folder, and the arguments that fetch `thing` into it.
fn scene(mirror: &str) -> (TempDir, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(folder.path(), &content());
    let out = folder.path().join("new").join("thing.lens");
    let out = out.to_str().unwrap();
    let arguments = [
        "bundle",
        "fetch",
        "thing",
        "--registry",
        &registry,
        "--mirror",
        mirror,
        "--out",
        out,
        "--json",
    ];
    let arguments = arguments.map(str::to_owned).to_vec();
    (folder, arguments)
}

fn fetched(folder: &TempDir) -> Vec<u8> {
    std::fs::read(folder.path().join("new/thing.lens")).unwrap()
}

fn partial(folder: &TempDir) -> Option<Vec<u8>> {
    std::fs::read(folder.path().join("new/thing.lens.partial")).ok()
}

#[test]
fn a_cut_off_reply_is_taken_up_again() {
    let server = Server::start(
        content(),
        vec![Reply::Cut(100_000), Reply::Cut(50_000), Reply::Ranges],
    );
    let (folder, arguments) = scene(&server.address);
    let line = &lines(&arguments)[0];
    assert_eq!(fetched(&folder), content());
    assert_eq!(partial(&folder), None);
    assert_eq!(
        (&line["fetched"], &line["resumed_from"]),
        (&true.into(), &0.into())
    );
    let asked = server.finish();
    assert_eq!(asked[0], ("/thing.lens".to_owned(), None));
    assert_eq!(asked[1].1.as_deref(), Some("bytes=100000-"));
    assert_eq!(asked[2].1.as_deref(), Some("bytes=150000-"));
}

#[test]
fn the_next_run_goes_on_where_the_last_gave_up() {
    let server = Server::start(content(), vec![Reply::Cut(10_000); 4]);
    let (folder, arguments) = scene(&server.address);
    let reason = refusal(&arguments);
    assert!(
        reason.contains("cut off after 40000 of 300000") && reason.contains("same command"),
        "{reason}"
    );
    assert_eq!(partial(&folder).unwrap(), content()[..40_000]);
    server.finish();

    let server = Server::start(content(), vec![Reply::Ranges]);
    let mut arguments = arguments;
    let place = arguments
        .iter()
        .position(|argument| argument.starts_with("http"))
        .unwrap();
    arguments[place].clone_from(&server.address);
    assert_eq!(lines(&arguments)[0]["resumed_from"], 40_000);
    assert_eq!(fetched(&folder), content());
    assert_eq!(server.finish()[0].1.as_deref(), Some("bytes=40000-"));

    // And a third run has nothing to do: no server is there to ask.
    assert_eq!(lines(&arguments)[0]["fetched"], false);
}

#[test]
fn a_server_that_ignores_ranges_begins_anew() {
    for reply in [Reply::Whole, Reply::Unsized] {
        let server = Server::start(content(), vec![Reply::Cut(70_000), reply]);
        let (folder, arguments) = scene(&server.address);
        lines(&arguments);
        assert_eq!(fetched(&folder), content());
        assert_eq!(server.finish()[1].1.as_deref(), Some("bytes=70000-"));
    }
}

#[test]
fn another_file_is_refused_and_not_kept() {
    let mut damaged = content();
    damaged[200_000] ^= 1;
    let server = Server::start(damaged, vec![Reply::Ranges]);
    let (folder, arguments) = scene(&server.address);
    // What was there before stays.
    std::fs::create_dir(folder.path().join("new")).unwrap();
    std::fs::write(folder.path().join("new/thing.lens"), b"before").unwrap();
    let reason = refusal(&arguments);
    assert!(
        reason.contains("SHA-256 is") && reason.contains("not kept"),
        "{reason}"
    );
    assert_eq!(
        (fetched(&folder).as_slice(), partial(&folder)),
        (b"before".as_slice(), None)
    );
    server.finish();
}

#[test]
fn another_size_is_refused() {
    let (mut longer, mut shorter) = (content(), content());
    longer.push(0);
    shorter.pop();
    let cases = [
        (
            longer.clone(),
            Reply::Ranges,
            "300001 bytes, the manifest says 300000",
        ),
        (
            shorter.clone(),
            Reply::Ranges,
            "299999 bytes, the manifest says 300000",
        ),
        (longer, Reply::Unsized, "more than the 300000 bytes"),
    ];
    for (file, reply, expected) in cases {
        let server = Server::start(file, vec![reply]);
        let (folder, arguments) = scene(&server.address);
        let reason = refusal(&arguments);
        assert!(reason.contains(expected), "{reason}");
        assert!(!folder.path().join("new/thing.lens").exists());
        server.finish();
    }
    // Shorter, and without saying so: asked for the rest, the server has none.
    let server = Server::start(
        shorter,
        vec![Reply::Unsized, Reply::Status("416 Range Not Satisfiable")],
    );
    let (_folder, arguments) = scene(&server.address);
    let reason = refusal(&arguments);
    assert!(
        reason.contains("shorter than the manifest says"),
        "{reason}"
    );
    server.finish();
}

#[test]
fn replies_that_help_nobody_say_what_to_do() {
    let cases = [
        (
            Reply::Status("404 Not Found"),
            "not there (404 Not Found); name a --mirror",
        ),
        (
            Reply::Status("503 Service Unavailable"),
            "503 Service Unavailable; try again later",
        ),
    ];
    for (reply, expected) in cases {
        let server = Server::start(content(), vec![reply]);
        let (_folder, arguments) = scene(&server.address);
        let reason = refusal(&arguments);
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(server.finish().len(), 1);
    }
    let server = Server::start(content(), vec![Reply::Cut(5), Reply::Elsewhere]);
    let (_folder, arguments) = scene(&server.address);
    let reason = refusal(&arguments);
    assert!(
        reason.contains("bytes 6-299999/300000") && reason.contains("delete"),
        "{reason}"
    );
    server.finish();

    // Nobody listens there any more.
    let address = format!(
        "http://{}",
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    );
    let (_folder, arguments) = scene(&address);
    let reason = refusal(&arguments);
    assert!(
        reason.contains("no reply; check the connection"),
        "{reason}"
    );
}

#[test]
fn a_folder_is_a_mirror_too() {
    let mirror = tempfile::tempdir().unwrap();
    let (folder, arguments) = scene(mirror.path().to_str().unwrap());
    let reason = refusal(&arguments);
    assert!(reason.contains("thing.lens"), "{reason}");

    std::fs::write(mirror.path().join("thing.lens"), &content()[1..]).unwrap();
    let reason = refusal(&arguments);
    assert!(
        reason.contains("299999 bytes, the manifest says 300000"),
        "{reason}"
    );

    std::fs::write(mirror.path().join("thing.lens"), content()).unwrap();
    lines(&arguments);
    assert_eq!(fetched(&folder), content());
}

#[test]
fn what_there_is_and_what_is_asked_wrongly() {
    let all = lines(["bundle", "fetch", "--json"]);
    assert!(
        all.iter()
            .any(|line| line["name"] == "default" && line["bytes"].as_u64() > Some(1_000_000))
    );
    let reason = refusal(["bundle", "fetch", "nothing"]);
    assert!(
        reason.contains("no model is called \"nothing\"; there are: default"),
        "{reason}"
    );
    let reason = refusal(["bundle", "fetch", "default"]);
    assert!(
        reason.contains("models/default.lens in the repository: give --mirror"),
        "{reason}"
    );
    let reason = refusal([
        "bundle",
        "fetch",
        "default",
        "--mirror",
        "ftp://example.org",
    ]);
    assert!(
        reason.contains("begins with http:// or https://"),
        "{reason}"
    );

    // The default bundle, as it lies in the repository.
    let folder = tempfile::tempdir().unwrap();
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let mut fetch = command(["bundle", "fetch", "default", "--mirror", models]);
    let output = fetch.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("default.lens: fetched and checked (3557396 bytes"));
    assert!(folder.path().join("default.lens").is_file());
}

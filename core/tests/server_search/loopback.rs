//! A server on loopback that behaves as badly as a test asks for, and remembers what reached it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// The fingerprint of the server's index.
pub(crate) const MODEL: &str = "07070707070707070707070707070707";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Method and path, without the model that is asked for.
    pub(crate) line: String,
    /// Lines as they were sent.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// What to do with a request.
pub(crate) enum Behaviour {
    Reply(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then nothing until the client gives up.
    Hang(Vec<u8>),
}

pub(crate) fn ok(body: &Value) -> Behaviour {
    Behaviour::Reply(200, vec![], body.to_string().into_bytes())
}

pub(crate) fn status(status: u16) -> Behaviour {
    Behaviour::Reply(status, vec![], b"{}".to_vec())
}

pub(crate) fn meta() -> Behaviour {
    ok(&json!({"model_id": MODEL, "dim": 3, "index_version": "1"}))
}

/// A hit with the key `key`, good for `ttl_s`.
pub(crate) fn found(key: &str, ttl_s: u32) -> Behaviour {
    ok(&json!({
        "hits": [{"key": key, "group": key, "score": 0.97, "payload": {"price": 3}}],
        "gone": ["old"],
        "index_version": "1",
        "ttl_s": ttl_s,
        "rival": 0.2,
    }))
}

pub(crate) struct Loopback {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Loopback {
    /// `script` is asked for each request, with how many came before it.
    pub(crate) fn start(
        script: impl Fn(usize, &Received) -> Behaviour + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&received), Arc::new(script));
        // Ends with the test's process; a connection's thread with its connection.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                thread::spawn(move || serve(stream.unwrap(), &log, script.as_ref()));
            }
        });
        Self { url, received }
    }

    /// A server that answers as it should, with this for searches.
    pub(crate) fn answering(
        search: impl Fn(usize, &Received) -> Behaviour + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |count, request| match request.line.as_str() {
            "GET /v1/meta" => meta(),
            _ => search(count, request),
        })
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn searches(&self) -> usize {
        let received = self.received();
        let searches = received
            .iter()
            .filter(|request| request.line == "POST /v1/search");
        searches.count()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Received>>,
    script: &dyn Fn(usize, &Received) -> Behaviour,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        let count = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        match script(count, &request) {
            Behaviour::Reply(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                let sent = stream
                    .write_all(format!("{head}\r\n").as_bytes())
                    .and_then(|()| stream.write_all(&body));
                // The client may have seen enough.
                if sent.is_err() {
                    return;
                }
            }
            Behaviour::Bytes(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
            Behaviour::Hang(bytes) => {
                let _ = stream.write_all(&bytes);
                let _ = reader.read(&mut [0]);
                return;
            }
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Received> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.remove(0);
    let mut request = Received {
        line: line
            .trim_end_matches(" HTTP/1.1")
            .trim_end_matches(&format!("?model_id={MODEL}"))
            .to_owned(),
        headers: lines,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |n| n.parse().unwrap());
    request.body = vec![0; length];
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

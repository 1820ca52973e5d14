//! The gateway over real sockets: what it answers, whom it refuses, and what it survives.

mod contract;
mod hostile;
mod tokens;
mod updates;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{IndexUpdate, IndexWriter, ItemPhoto};
use pocketlens::remote::contract::{Dtype, SearchRequest};
use pocketlens::remote::{
    EncodedVector, HttpRequest, HttpResponse, HttpTransport, Method, UreqTransport,
};
use pocketlens_gateway::{Embedded, Gateway, GatewayOptions, Serving};
use serde_json::{Value, json};

const DIM: usize = 8;

fn model() -> Fingerprint {
    Fingerprint::of_parts([b"weights".as_slice()])
}

/// A direction of its own for each number.
fn vector(number: u32) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(number.into());
    (0..DIM).map(|_| random.f32() * 2.0 - 1.0).collect()
}

fn payload(number: u32) -> Value {
    json!({"price": number, "even": number.is_multiple_of(2)})
}

/// Items `item-0`, `item-1`, …, two a group.
fn build(dir: &Path, items: u32) {
    let mut writer = IndexWriter::create(dir, b"the bundle", model(), DIM).unwrap();
    for number in 0..items {
        let (key, group) = (format!("item-{number}"), format!("group-{}", number / 2));
        let item = ItemPhoto {
            key: &key,
            group: Some(&group),
            payload: &payload(number),
            vector: &vector(number),
        };
        writer.push(&item).unwrap();
    }
    writer.finish().unwrap();
}

fn change(dir: &Path, make: impl FnOnce(&mut IndexUpdate)) {
    let mut update = IndexUpdate::open(dir).unwrap();
    make(&mut update);
    update.commit().unwrap();
}

/// A gateway on a free port, until it is dropped.
struct Running {
    url: String,
    stop: Arc<dyn Fn() + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(gateway: Gateway) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let serving = {
            let _guard = runtime.enter();
            Serving::bind(gateway, "127.0.0.1:0".parse().unwrap()).unwrap()
        };
        let url = format!("http://{}", serving.address());
        let stop = serving.stopper();
        let thread = std::thread::spawn(move || runtime.block_on(serving.run(None)).unwrap());
        Self {
            url,
            stop,
            thread: Some(thread),
        }
    }

    /// In front of an index of `items`, which lives as long as the folder.
    fn over(folder: &Path, items: u32, options: GatewayOptions) -> (Self, Arc<Embedded>) {
        let dir = folder.join("shop.plx");
        build(&dir, items);
        let engine = Arc::new(Embedded::open(&dir).unwrap());
        let gateway = Gateway::new(Arc::clone(&engine) as _, options);
        (Self::start(gateway), engine)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpResponse {
        let headers = headers.iter();
        let headers = headers.map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let request = HttpRequest {
            method,
            url: format!("{}{path}", self.url),
            headers: headers.collect(),
            body: body.to_vec(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            max_reply_bytes: 10 << 20,
        };
        UreqTransport::default().send(&request).unwrap()
    }

    fn get(&self, path: &str) -> HttpResponse {
        self.send(Method::Get, path, &[], b"")
    }

    fn post(&self, path: &str, body: &[u8]) -> HttpResponse {
        self.send(
            Method::Post,
            path,
            &[("Content-Type", "application/json")],
            body,
        )
    }

    fn search(&self, request: &Value) -> HttpResponse {
        self.post("/v1/search", request.to_string().as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        (self.stop)();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn request(number: u32, k: usize) -> Value {
    let request = SearchRequest {
        model_id: model(),
        dim: DIM,
        dtype: Dtype::F16,
        vector: EncodedVector::of(&vector(number)).unwrap(),
        k,
        filter: None,
        group_by: None,
        deadline_ms: None,
    };
    serde_json::to_value(request).unwrap()
}

fn body(response: &HttpResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

fn keys(reply: &Value) -> Vec<&str> {
    let hits = reply["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["key"].as_str().unwrap()).collect()
}

/// The last part of a problem's type.
fn problem(response: &HttpResponse) -> (u16, String) {
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
    let problem = body(response);
    assert_eq!(problem["status"], response.status);
    let kind = problem["type"].as_str().unwrap();
    (response.status, kind.rsplit(':').next().unwrap().to_owned())
}

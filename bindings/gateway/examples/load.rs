//! How many queries a second the gateway answers on an embedded index, and what it adds to the engine's time.
//!
//! ```text
//! cargo run --release -p pocketlens-gateway --example load -- [ITEMS] [CLIENTS] [SECONDS]
//! ```
//!
//! 100,000 items of 256 numbers unless said otherwise. Clients run in this process, on the same processors, and answers
//! are compared with those of the index itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pocketlens::fingerprint::Fingerprint;
use pocketlens::index::{Index, IndexQuery, IndexWriter, ItemPhoto};
use pocketlens::remote::EncodedVector;
use pocketlens::remote::contract::{Dtype, SearchReply, SearchRequest};
use pocketlens_gateway::{Embedded, Gateway, GatewayOptions, Serving};

const DIM: usize = 256;
const QUERIES: usize = 1000;

/// Pictures of things in as many clusters as there are kinds of things.
fn vector(random: &mut fastrand::Rng, centres: &[Vec<f32>]) -> Vec<f32> {
    let centre = &centres[random.usize(0..centres.len())];
    let normal = |random: &mut fastrand::Rng| (0..4).map(|_| random.f32() - 0.5).sum::<f32>();
    centre
        .iter()
        .map(|value| value + 0.8 * normal(random))
        .collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: usize| arguments.next().map_or(Ok(otherwise), |text| text.parse());
    let (items, clients, seconds) = (number(100_000)?, number(8)?, number(10)?);

    let folder = std::env::temp_dir().join(format!("pocketlens-load-{}", std::process::id()));
    let model = Fingerprint::of_parts([b"load".as_slice()]);
    let mut random = fastrand::Rng::with_seed(7);
    let centres: Vec<Vec<f32>> = (0..2000)
        .map(|_| (0..DIM).map(|_| random.f32() - 0.5).collect())
        .collect();
    let start = Instant::now();
    let mut writer = IndexWriter::create(&folder, b"bundle", model, DIM)?;
    for item in 0..items {
        let (key, payload) = (
            format!("item-{item}"),
            serde_json::json!({"price": item % 1000}),
        );
        let vector = vector(&mut random, &centres);
        writer.push(&ItemPhoto {
            key: &key,
            group: None,
            payload: &payload,
            vector: &vector,
        })?;
    }
    writer.finish()?;
    println!(
        "{items} items of {DIM} numbers, indexed in {:.1} s",
        start.elapsed().as_secs_f64()
    );

    let queries: Vec<Vec<f32>> = (0..QUERIES)
        .map(|_| vector(&mut random, &centres))
        .collect();
    let index = Index::open(&folder)?;
    println!("{:.0} bytes an item on disk", index.info().bytes_per_item);
    let mut alone: Vec<Duration> = Vec::new();
    let mut expected = Vec::new();
    for query in &queries {
        // As it arrives: rounded to half precision.
        let query = EncodedVector::of(query)?.decode(DIM)?;
        let start = Instant::now();
        let ranking = index.search(&IndexQuery::new(model, &query, 10))?;
        alone.push(start.elapsed());
        expected.push(
            ranking
                .hits
                .into_iter()
                .map(|hit| hit.key)
                .collect::<Vec<_>>(),
        );
    }
    alone.sort();
    println!("index alone, one thread: {}", percentiles(&alone));

    let engine = Arc::new(Embedded::open(&folder)?);
    let gateway = Gateway::new(engine, GatewayOptions::default());
    let runtime = tokio::runtime::Runtime::new()?;
    let serving = {
        let _guard = runtime.enter();
        Serving::bind(gateway, "127.0.0.1:0".parse()?)?
    };
    let (address, stop) = (serving.address().to_string(), serving.stopper());
    let server = std::thread::spawn(move || runtime.block_on(serving.run(None)));

    let requests: Vec<Vec<u8>> = queries
        .iter()
        .map(|query| {
            let request = SearchRequest {
                model_id: model,
                dim: DIM,
                dtype: Dtype::F16,
                vector: EncodedVector::of(query).expect("finite"),
                k: 10,
                filter: None,
                group_by: None,
                deadline_ms: None,
            };
            let body = serde_json::to_string(&request).expect("JSON");
            let length = body.len();
            format!("POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
                .into_bytes()
        })
        .collect();
    // One at a time first: what the way through the gateway costs beside the search itself.
    let single = ask(
        &address,
        &requests,
        &expected,
        0,
        Instant::now() + Duration::from_secs(3),
    );
    println!("gateway, one client: {}", percentiles(&single));
    let until = Instant::now() + Duration::from_secs(seconds as u64);
    let start = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let (address, requests, expected) = (&address, &requests, &expected);
        let clients: Vec<_> = (0..clients)
            .map(|client| scope.spawn(move || ask(address, requests, expected, 37 * client, until)))
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("no panic"))
            .collect()
    });
    let passed = start.elapsed().as_secs_f64();
    times.sort();
    println!(
        "gateway, {clients} clients: {:.0} queries/s, {}",
        times.len() as f64 / passed,
        percentiles(&times)
    );
    stop();
    server.join().expect("no panic")?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Asks on one connection until it is time; sorted times.
fn ask(
    address: &str,
    requests: &[Vec<u8>],
    expected: &[Vec<String>],
    first: usize,
    until: Instant,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut times = Vec::new();
    let mut at = first;
    while Instant::now() < until {
        let number = at % requests.len();
        let start = Instant::now();
        stream.write_all(&requests[number]).expect("sent");
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a reply");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a whole reply");
        times.push(start.elapsed());
        // Each question's answer is looked at once a round: the rest of the time belongs to the server.
        if (at / requests.len()).is_multiple_of(16) {
            let reply: SearchReply = serde_json::from_slice(&body).expect("a reply");
            let keys: Vec<String> = reply.hits.into_iter().map(|hit| hit.key).collect();
            assert_eq!(keys, expected[number], "question {number}");
        }
        at += 1;
    }
    times.sort();
    times
}

fn percentiles(sorted: &[Duration]) -> String {
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!(
        "median {:.3} ms, p99 {:.3} ms, n {}",
        at(0.5),
        at(0.99),
        sorted.len()
    )
}

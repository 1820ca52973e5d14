//! Brings a file of known size and hash from an address or a folder, and goes on where it was cut off.
//!
//! Bytes are collected in `FILE.partial`; only what has the size and hash asked for is renamed to `FILE`, so whoever
//! reads `FILE` meanwhile sees the old one or the new one, whole.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// Connections that were cut off are taken up again this often before the user is asked to.
const TRIES: usize = 4;
const CHUNK: usize = 1 << 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest silence of a server: the whole of a reply may take as long as it needs.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a file comes from.
pub(crate) enum Origin {
    /// `http://` or `https://`.
    Address(String),
    /// A file on this machine.
    File(PathBuf),
}

/// What the file must be.
pub(crate) struct Expected<'a> {
    pub(crate) bytes: u64,
    pub(crate) sha256: &'a str,
}

/// How a download went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The file was there already, with the right hash.
    AlreadyThere,
    /// It was brought; the first so many bytes were there from an earlier try.
    Fetched { resumed_from: u64 },
}

/// Brings the file to `out`.
///
/// # Errors
/// The origin cannot be read, or holds something else. What was brought stays for the next try, unless it is wrong.
pub(crate) fn download(
    origin: &Origin,
    out: &Path,
    expected: &Expected<'_>,
    progress: &ProgressBar,
) -> Result<Outcome> {
    if out.is_file() && hash_of(out)?.as_deref() == Some(expected.sha256) {
        return Ok(Outcome::AlreadyThere);
    }
    if let Some(folder) = folder_of(out) {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut partial = Partial::open(out, expected.bytes)?;
    let resumed_from = partial.length;
    progress.set_position(resumed_from);
    match origin {
        Origin::File(path) => copy(path, &mut partial, progress)?,
        Origin::Address(address) => receive(address, &mut partial, progress)?,
    }
    partial.finish(out, expected)?;
    Ok(Outcome::Fetched { resumed_from })
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What has been brought so far.
struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
    wanted: u64,
}

impl Partial {
    fn open(out: &Path, wanted: u64) -> Result<Self> {
        let mut name = out.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        let length = file.metadata()?.len();
        let mut partial = Self {
            path,
            file,
            length,
            wanted,
        };
        if length > wanted {
            partial.restart()?;
        }
        Ok(partial)
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.length == self.wanted
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let length = self.length + bytes.len() as u64;
        if length > self.wanted {
            let _ = std::fs::remove_file(&self.path);
            bail!(
                "more than the {} bytes that the manifest says: it is another file; look at --mirror",
                self.wanted
            );
        }
        let written = self.file.write_all(bytes);
        written.with_context(|| self.path.display().to_string())?;
        self.length = length;
        Ok(())
    }

    /// Compares and renames.
    fn finish(self, out: &Path, expected: &Expected<'_>) -> Result<()> {
        let path = self.path.display();
        ensure!(
            self.is_whole(),
            "cut off after {} of {} bytes, which are kept in {path}: give the same command again to go on",
            self.length,
            self.wanted
        );
        self.file.sync_all()?;
        drop(self.file);
        let found = hash_of(&self.path)?.unwrap_or_default();
        if found != expected.sha256 {
            std::fs::remove_file(&self.path).with_context(|| path.to_string())?;
            bail!(
                "SHA-256 is {found}, the manifest says {}: the file is damaged or another one, and was not kept; \
                 try again, or another --mirror",
                expected.sha256
            );
        }
        std::fs::rename(&self.path, out).with_context(|| out.display().to_string())?;
        // The name must outlive a loss of power as well as the bytes do; not every system can sync a folder.
        if let Some(folder) = folder_of(out)
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

fn copy(path: &Path, partial: &mut Partial, progress: &ProgressBar) -> Result<()> {
    let name = path.display();
    let mut file = File::open(path).with_context(|| name.to_string())?;
    let found = file.metadata()?.len();
    ensure!(
        found == partial.wanted,
        "{name}: {found} bytes, the manifest says {}: it is another file",
        partial.wanted
    );
    partial.restart()?;
    drain(&mut file, partial, progress).with_context(|| name.to_string())?;
    Ok(())
}

fn receive(address: &str, partial: &mut Partial, progress: &ProgressBar) -> Result<()> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(REPLY_TIMEOUT))
        .build()
        .into();
    for last in (0..TRIES).rev() {
        if partial.is_whole() {
            return Ok(());
        }
        let reply = match ask(&agent, address, partial.length) {
            Ok(reply) => reply,
            Err(_) if last > 0 && partial.length > 0 => continue,
            Err(error) => return Err(error).with_context(|| address.to_owned()),
        };
        let mut body = accept(reply, address, partial)?;
        progress.set_position(partial.length);
        match drain(&mut body.as_reader(), partial, progress) {
            // A reply that ends early is asked for again from there; `finish` has the last word.
            Ok(()) => {}
            Err(error) if error.is::<Interrupted>() => {}
            Err(error) => return Err(error).with_context(|| address.to_owned()),
        }
    }
    Ok(())
}

fn ask(agent: &Agent, address: &str, from: u64) -> Result<Response<Body>> {
    // A compressed reply would have other offsets than the file.
    let request = agent
        .get(address)
        .header(header::ACCEPT_ENCODING, "identity");
    let request = match from {
        0 => request,
        from => request.header(header::RANGE, format!("bytes={from}-")),
    };
    request
        .call()
        .context("no reply; check the connection and the address")
}

/// Makes `partial` stand where the reply begins.
fn accept(reply: Response<Body>, address: &str, partial: &mut Partial) -> Result<Body> {
    let status = reply.status();
    match status {
        StatusCode::OK => {
            // Either all was asked for, or the server knows no ranges: from the start.
            partial.restart()?;
            let length = reply.body().content_length();
            ensure!(
                length.is_none_or(|length| length == partial.wanted),
                "{address}: {} bytes, the manifest says {}: it is another file; look at --mirror",
                length.unwrap_or_default(),
                partial.wanted
            );
        }
        StatusCode::PARTIAL_CONTENT => {
            let range = reply.headers().get(header::CONTENT_RANGE);
            let range = range
                .and_then(|range| range.to_str().ok())
                .unwrap_or_default();
            let (start, total) = content_range(range).with_context(|| {
                format!("{address}: part of a file without saying which ({range:?})")
            })?;
            ensure!(
                start == partial.length && total.is_none_or(|total| total == partial.wanted),
                "{address}: sent {range:?}, asked for byte {} of {}: it is another file; delete {} and try again",
                partial.length,
                partial.wanted,
                partial.path.display()
            );
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            bail!("{address}: not there ({status}); name a --mirror that holds the file")
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            partial.restart()?;
            bail!("{address}: shorter than the manifest says: it is another file; look at --mirror")
        }
        _ => bail!("{address}: {status}; try again later, or name a --mirror"),
    }
    Ok(reply.into_body())
}

/// Start and total of `bytes START-END/TOTAL`; the total may be `*`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    match total {
        "*" => Some((start, None)),
        total => Some((start, Some(total.parse().ok()?))),
    }
}

/// The sender stopped in the middle.
#[derive(Debug)]
struct Interrupted(std::io::Error);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for Interrupted {}

fn drain(source: &mut impl Read, partial: &mut Partial, progress: &ProgressBar) -> Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = source.read(&mut chunk).map_err(Interrupted)?;
        if count == 0 {
            return Ok(());
        }
        partial.push(&chunk[..count])?;
        progress.set_position(partial.length);
    }
}

/// SHA-256 of a file; `None` where there is none.
fn hash_of(path: &Path) -> Result<Option<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        let count = file
            .read(&mut chunk)
            .with_context(|| path.display().to_string())?;
        if count == 0 {
            return Ok(Some(hexadecimal(&hash.finalize())));
        }
        hash.update(&chunk[..count]);
    }
}

/// The folder of a file that is not in the present one.
fn folder_of(path: &Path) -> Option<&Path> {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-4/*"), Some((0, None)));
        for wrong in [
            "",
            "bytes */10",
            "items 1-2/3",
            "bytes 1-2",
            "bytes x-2/3",
            "bytes 1-2/y",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}

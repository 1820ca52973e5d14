//! Writing a container: sections in the order given, equal input gives equal bytes.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use super::header::{Header, MAX_SECTIONS};
use super::{ContainerError, Kind, Tag, write_atomically};
use crate::fingerprint::Fingerprint;

/// Collects sections and writes them as one file.
///
/// ```
/// use pocketlens::container::{Container, ContainerWriter, Kind, Tag};
/// use pocketlens::fingerprint::Fingerprint;
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("model.lens");
/// let mut writer = ContainerWriter::new(Kind::Bundle, Fingerprint::of_parts([b"w".as_slice()]));
/// writer.section(Tag(*b"note"), b"hello".as_slice());
/// writer.write(&path)?;
///
/// let container = Container::open(&path, Kind::Bundle)?;
/// container.verify()?;
/// assert_eq!(container.section(Tag(*b"note")), Some(b"hello".as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ContainerWriter<'a> {
    kind: Kind,
    fingerprint: Fingerprint,
    sections: Vec<(Tag, Cow<'a, [u8]>)>,
}

impl<'a> ContainerWriter<'a> {
    /// A container without sections.
    pub fn new(kind: Kind, fingerprint: Fingerprint) -> Self {
        Self {
            kind,
            fingerprint,
            sections: Vec::new(),
        }
    }

    /// Appends a section.
    ///
    /// # Panics
    /// When the tag is taken or there are 64 sections already: both are mistakes of the program,
    /// not of its input.
    pub fn section(&mut self, tag: Tag, bytes: impl Into<Cow<'a, [u8]>>) -> &mut Self {
        assert!(
            self.sections.iter().all(|(taken, _)| *taken != tag),
            "section {tag} is taken"
        );
        assert!(
            self.sections.len() < MAX_SECTIONS,
            "at most {MAX_SECTIONS} sections"
        );
        self.sections.push((tag, bytes.into()));
        self
    }

    /// Writes the file under a temporary name and renames it to `path`; a file of that name is
    /// replaced, never changed in place.
    pub fn write(&self, path: &Path) -> Result<(), ContainerError> {
        write_atomically(path, |file| self.write_to(file)).map_err(|source| ContainerError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Writes the bytes of the file to anything.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        let header = Header::lay_out(
            self.fingerprint,
            self.sections
                .iter()
                .map(|(tag, bytes)| (*tag, bytes.len() as u64, crc32fast::hash(bytes))),
        );
        let bytes = header.to_bytes(self.kind);
        out.write_all(&bytes)?;
        let mut end = bytes.len() as u64;
        for (section, (_, bytes)) in header.sections.iter().zip(&self.sections) {
            write_zeros(&mut out, section.offset - end)?;
            out.write_all(bytes)?;
            end = section.offset + section.length;
        }
        write_zeros(&mut out, header.length_of_file() - end)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)
            .expect("writing to memory cannot fail");
        bytes
    }
}

fn write_zeros(out: &mut impl Write, count: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), count), out).map(|_| ())
}

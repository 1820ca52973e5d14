//! The sectioned file behind bundles and index segments: one header, named sections, one checksum
//! each, mapped into memory and used in place.
//!
//! Opening checks the header and the bounds of every section, whatever the size of the file;
//! [`Container::verify`] reads every byte and is meant for the moment of installation. The layout
//! is drawn in `FORMAT.md` beside this file.

mod atomic;
mod error;
mod header;
mod map;
mod writer;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) use atomic::write_atomically;
pub use error::ContainerError;
pub(crate) use map::as_i8;
pub use writer::ContainerWriter;

use crate::fingerprint::Fingerprint;
use header::Header;
use map::Map;

/// What a container holds; it decides the magic bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model bundle (`.lens`).
    Bundle,
    /// A segment of an index.
    Segment,
    /// The dead items of a segment.
    Tombstones,
    /// What a bundle's whitenings were computed from (`.moments`).
    Moments,
}

impl Kind {
    /// The first eight bytes of a file of this kind.
    pub const fn magic(self) -> [u8; 8] {
        match self {
            Self::Bundle => *b"PLXLENS\n",
            Self::Segment => *b"PLXSEGM\n",
            Self::Tombstones => *b"PLXDEAD\n",
            Self::Moments => *b"PLXMOMT\n",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bundle => "model bundle",
            Self::Segment => "index segment",
            Self::Tombstones => "tombstones of a segment",
            Self::Moments => "moments of a bundle",
        })
    }
}

/// How the bytes of a file are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Mapped: nothing is read before it is used, and the system may drop it again. Where the file
    /// system cannot map files, as [`Access::Read`].
    #[default]
    Map,
    /// Read whole into memory when opened, by plain positioned reads: for storage that cannot be
    /// mapped, or that may vanish while it is in use (a removed card kills a program that touches a
    /// map of it; a read only fails). Takes as much memory as the file is long.
    Read,
}

/// The name of a section: four bytes, by convention lowercase ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(pub [u8; 4]);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Where a section lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name, unique in the file.
    pub tag: Tag,
    /// First byte, a multiple of 16 KiB.
    pub offset: u64,
    /// Bytes, without the padding behind them.
    pub length: u64,
    /// CRC-32 (IEEE) of the bytes.
    pub crc32: u32,
}

/// An open container. It owns its mapping, so it can be shared through an `Arc`.
pub struct Container {
    bytes: Bytes,
    path: PathBuf,
    kind: Kind,
    header: Header,
}

enum Bytes {
    Mapped(Map),
    Read(Box<[u8]>),
    Static(&'static [u8]),
}

impl Container {
    /// Maps a file and checks its header, its length and the bounds of its sections; touches no
    /// section.
    ///
    /// # Errors
    /// [`ContainerError::NotThisKind`] for another sort of file, [`ContainerError::Incompatible`]
    /// for a newer format, [`ContainerError::Truncated`] or [`ContainerError::Corrupt`] for a
    /// damaged file, [`ContainerError::Io`] when it cannot be read.
    pub fn open(path: &Path, kind: Kind) -> Result<Self, ContainerError> {
        Self::open_with(path, kind, Access::Map)
    }

    /// The same, with the bytes reached as `access` says.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(path: &Path, kind: Kind, access: Access) -> Result<Self, ContainerError> {
        let bytes = Bytes::of_file(path, access).map_err(|source| ContainerError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::new(bytes, path.to_owned(), kind)
    }

    /// The same on bytes that are part of the program, such as the embedded bundle. Sections of
    /// such bytes have no alignment.
    pub fn from_static(bytes: &'static [u8], kind: Kind) -> Result<Self, ContainerError> {
        Self::new(Bytes::Static(bytes), PathBuf::from("(embedded)"), kind)
    }

    fn new(bytes: Bytes, path: PathBuf, kind: Kind) -> Result<Self, ContainerError> {
        let header = Header::parse(bytes.get(), &path, kind)?;
        Ok(Self {
            bytes,
            path,
            kind,
            header,
        })
    }

    /// The bytes of a section, `None` when the file has none of that name.
    pub fn section(&self, tag: Tag) -> Option<&[u8]> {
        let section = self
            .header
            .sections
            .iter()
            .find(|section| section.tag == tag)?;
        Some(self.bytes_of(section))
    }

    /// All sections in the order of the file.
    pub fn sections(&self) -> &[Section] {
        &self.header.sections
    }

    /// Reads the whole file: every section must have its checksum and all padding must be zero.
    pub fn verify(&self) -> Result<(), ContainerError> {
        let mut end = self.header.length_of_header();
        for section in &self.header.sections {
            self.verify_padding(end, section.offset)?;
            let found = crc32fast::hash(self.bytes_of(section));
            if found != section.crc32 {
                return Err(ContainerError::Corrupt {
                    path: self.path.clone(),
                    section: section.tag.to_string(),
                    offset: section.offset,
                    expected: format!("crc32 {:08x}", section.crc32),
                    found: format!("{found:08x}"),
                });
            }
            end = section.offset + section.length;
        }
        self.verify_padding(end, self.len())
    }

    fn verify_padding(&self, from: u64, to: u64) -> Result<(), ContainerError> {
        let padding = &self.bytes()[from as usize..to as usize];
        match padding.iter().position(|&byte| byte != 0) {
            None => Ok(()),
            Some(at) => Err(ContainerError::Corrupt {
                path: self.path.clone(),
                section: "padding".to_owned(),
                offset: from + at as u64,
                expected: "00".to_owned(),
                found: format!("{:02x}", padding[at]),
            }),
        }
    }

    /// The fingerprint of the model that the content belongs to.
    pub fn fingerprint(&self) -> Fingerprint {
        self.header.fingerprint
    }

    /// What the file holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where the file lies; `(embedded)` for bytes of the program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the whole file in bytes, never zero.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a container has at least a header"
    )]
    pub fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get()
    }

    /// Asks the system to read these bytes of the file, which will be used: so it reads them while this program goes on, and
    /// several places at once. Does nothing for bytes that are in memory as they are, and where a system has no such call.
    pub(crate) fn will_need(&self, bytes: &[u8]) {
        if let Bytes::Mapped(map) = &self.bytes {
            map.will_need(bytes);
        }
    }

    // The header was checked against the length of the file: the range is inside and fits usize.
    fn bytes_of(&self, section: &Section) -> &[u8] {
        let start = section.offset as usize;
        &self.bytes()[start..start + section.length as usize]
    }
}

impl Bytes {
    fn of_file(path: &Path, access: Access) -> io::Result<Self> {
        let file = File::open(path)?;
        match access {
            // Miri, which checks what is done with the bytes, knows no maps of files.
            Access::Map if cfg!(miri) => Ok(Self::Read(read(file)?)),
            Access::Map => match Map::new(&file) {
                Err(error) if cannot_map(&error) => Ok(Self::Read(read(file)?)),
                map => Ok(Self::Mapped(map?)),
            },
            Access::Read => Ok(Self::Read(read(file)?)),
        }
    }

    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.bytes(),
            Self::Read(bytes) => bytes,
            Self::Static(bytes) => bytes,
        }
    }
}

/// The file system has no memory maps (`ENODEV`), or none of this kind (`EINVAL`, `ENOTSUP`).
fn cannot_map(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    error.raw_os_error() == Some(ENODEV)
        || matches!(
            error.kind(),
            io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
        )
}

/// As many bytes as the file has now: one that grows meanwhile cannot take memory without bound.
fn read(file: File) -> io::Result<Box<[u8]>> {
    let length = usize::try_from(file.metadata()?.len())
        .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length)?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into_boxed_slice())
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container")
            .field("path", &self.path)
            .field("kind", &self.kind)
            .field("fingerprint", &self.header.fingerprint)
            .field("sections", &self.header.sections)
            .finish()
    }
}

//! The manifest of published models (`models/registry.toml`): what there is, how large it is, what it must hash to.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

const BUILT_IN: &str = include_str!("../../../models/registry.toml");

/// All published files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    #[serde(rename = "file")]
    files: Vec<Published>,
}

/// One published file.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Its name in a mirror, and here when `--out` does not give another.
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// Lower-case hexadecimal.
    pub(crate) sha256: String,
    pub(crate) licence: String,
    /// A public address, or a path in the repository where there is none.
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) about: String,
}

/// What a published file is good for.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Ready: `--bundle FILE`.
    Bundle,
    /// To be converted: `pocketlens bundle convert --backbone FILE`.
    Network,
}

impl Registry {
    /// The manifest at `path`, or the one inside of the program.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Self::parse(BUILT_IN);
        };
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| name.to_string())?;
        Self::parse(&text).with_context(|| name.to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let registry: Self = toml::from_str(text)?;
        for (place, published) in registry.files.iter().enumerate() {
            let Published { name, file, .. } = published;
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            ensure!(
                published.sha256.len() == 64 && published.sha256.bytes().all(hex),
                "{name}: sha256 is not 64 lower-case hexadecimal digits"
            );
            // A manifest may come from elsewhere: its names must not lead out of the folder.
            ensure!(
                Path::new(file)
                    .file_name()
                    .is_some_and(|only| only == file.as_str()),
                "{name}: {file:?} is not the name of a file"
            );
            let twice = registry.files[..place]
                .iter()
                .any(|other| other.name == *name);
            ensure!(!twice, "{name} is listed twice");
        }
        Ok(registry)
    }

    pub(crate) fn files(&self) -> &[Published] {
        &self.files
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Published> {
        if let Some(published) = self.files.iter().find(|published| published.name == name) {
            return Ok(published);
        }
        let names: Vec<_> = self.files.iter().map(|file| file.name.as_str()).collect();
        bail!(
            "no model is called {name:?}; there are: {}",
            names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_built_in_manifest_names_the_files_of_the_repository() {
        let registry = Registry::open(None).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut found = 0;
        for published in registry.files() {
            if published.source.starts_with("https://") {
                continue;
            }
            let bytes = std::fs::read(root.join(&published.source)).unwrap();
            assert_eq!(bytes.len() as u64, published.bytes, "{}", published.name);
            let hash = super::super::download::hexadecimal(&Sha256::digest(&bytes));
            assert_eq!(hash, published.sha256, "{}", published.name);
            found += 1;
        }
        assert!(found > 0);
        assert!(registry.find("default").is_ok());
    }

    #[test]
    fn unsound_manifests_are_refused() {
        let entry = |name: &str, file: &str, hash: &str| {
            format!(
                "[[file]]\nname = {name:?}\nkind = \"bundle\"\nfile = {file:?}\nbytes = 1\nsha256 = {hash:?}\n\
                 licence = \"MIT\"\nsource = \"https://example.org/a\"\n"
            )
        };
        let sound = entry("a", "a.lens", &"0".repeat(64));
        assert!(Registry::parse(&sound).is_ok());
        for unsound in [
            entry("a", "../a.lens", &"0".repeat(64)),
            entry("a", "/a.lens", &"0".repeat(64)),
            entry("a", "a.lens", "00"),
            entry("a", "a.lens", &"G".repeat(64)),
            format!("{sound}{sound}"),
            sound.replace("licence", "license"),
        ] {
            assert!(Registry::parse(&unsound).is_err(), "{unsound}");
        }
    }
}

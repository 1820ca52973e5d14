//! `gt.tsv`: which photos are queries, which are the database, and which show the same thing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A photo's part in an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Asked.
    Query,
    /// Searched.
    Database,
    /// Searched, and taken out of every ranking before it is scored.
    Junk,
}

/// A line: a photo, relative to the folder, what it shows, and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Path relative to the folder of `gt.tsv`.
    pub path: String,
    /// Photos of one group show the same thing.
    pub group: String,
    /// The photo's part.
    pub role: Role,
}

/// A folder's ground truth.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// In the order of the file.
    pub rows: Vec<Row>,
}

/// Why a ground truth was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroundTruthError {
    /// The file cannot be read.
    #[error(
        "{path}: {source}; an evaluation folder has a gt.tsv with the columns image_path, group_id, role"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not as it should be.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Expected and found.
        reason: String,
    },
    /// There is nothing to ask or nothing to search.
    #[error("{path}: {queries} queries and {database} database photos; both must be there")]
    Empty {
        /// The file.
        path: PathBuf,
        /// Queries found.
        queries: usize,
        /// Database photos found.
        database: usize,
    },
}

impl GroundTruth {
    /// Reads `folder/gt.tsv`: tab-separated `image_path, group_id, role`, a header line optional.
    ///
    /// # Errors
    /// [`GroundTruthError`] with the line at fault; a path listed twice in one role is an error.
    pub fn read(folder: &Path) -> Result<Self, GroundTruthError> {
        let path = folder.join("gt.tsv");
        let text = std::fs::read_to_string(&path).map_err(|source| GroundTruthError::Io {
            path: path.clone(),
            source,
        })?;
        let mut rows = Vec::new();
        let mut seen = HashSet::new();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || (at == 0 && line.starts_with("image_path")) {
                continue;
            }
            let wrong = |reason| GroundTruthError::Line {
                path: path.clone(),
                line: at + 1,
                reason,
            };
            let row = row(line).map_err(wrong)?;
            if !seen.insert((row.path.clone(), row.role)) {
                return Err(wrong(format!(
                    "{:?} is listed twice as {:?}",
                    row.path, row.role
                )));
            }
            rows.push(row);
        }
        let count = |role| rows.iter().filter(|row| row.role == role).count();
        let (queries, database) = (count(Role::Query), count(Role::Database));
        if queries == 0 || database == 0 {
            return Err(GroundTruthError::Empty {
                path,
                queries,
                database,
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            rows,
        })
    }

    /// Rows of one role, in the order of the file.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.role == role)
    }

    /// The database photos of each group.
    pub fn groups(&self) -> HashMap<&str, HashSet<&str>> {
        let mut groups: HashMap<&str, HashSet<&str>> = HashMap::new();
        for row in self.of(Role::Database) {
            groups.entry(&row.group).or_default().insert(&row.path);
        }
        groups
    }

    /// The groups that an open set leaves out of the database: every other one of all groups with
    /// database photos, sorted by name; the first stays.
    pub fn left_out(&self) -> HashSet<&str> {
        let sorted: BTreeSet<&str> = self.of(Role::Database).map(|row| &*row.group).collect();
        sorted.into_iter().skip(1).step_by(2).collect()
    }
}

fn row(line: &str) -> Result<Row, String> {
    let mut fields = line.split('\t');
    let (Some(path), Some(group), Some(role)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(
            "three fields separated by tabs were expected: image_path, group_id, role".into(),
        );
    };
    let role = match role {
        "query" => Role::Query,
        "database" => Role::Database,
        "junk" => Role::Junk,
        other => {
            return Err(format!(
                "role must be query, database or junk, found {other:?}"
            ));
        }
    };
    Ok(Row {
        path: path.to_owned(),
        group: group.to_owned(),
        role,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GroundTruth, GroundTruthError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("gt.tsv"), text).unwrap();
        GroundTruth::read(folder.path())
    }

    #[test]
    fn roles_and_groups_are_read() {
        let truth = read(
            "image_path\tgroup_id\trole\nq.jpg\tg\tquery\na.jpg\tg\tdatabase\r\nj.jpg\tg\tjunk\n",
        );
        let truth = truth.unwrap();
        assert_eq!(truth.of(Role::Junk).count(), 1);
        assert_eq!(truth.groups()["g"], HashSet::from(["a.jpg"]));
    }

    #[test]
    fn an_open_set_leaves_out_every_other_group() {
        let lines = ["c", "a", "d", "b", "e", "b"].iter().enumerate();
        let lines = lines.map(|(at, group)| format!("{at}.jpg\t{group}\tdatabase\n"));
        // A group that is only asked for is none of the database's.
        let truth = read(&(lines.collect::<String>() + "q.jpg\taa\tquery\n")).unwrap();
        assert_eq!(truth.left_out(), HashSet::from(["b", "d"]));
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, part) in [
            ("q.jpg\tg\n", "line 1"),
            ("q.jpg\tg\tquery\nx\tg\tother\n", "found \"other\""),
            ("q.jpg\tg\tquery\nq.jpg\tg\tquery\n", "listed twice"),
            ("q.jpg\tg\tquery\n", "0 database photos"),
        ] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
        assert!(matches!(
            GroundTruth::read(Path::new("/nonexistent")),
            Err(GroundTruthError::Io { .. })
        ));
    }
}

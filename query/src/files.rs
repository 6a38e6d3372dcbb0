//! Which files statements may touch: those in the folders that the operator named, and no others.

use std::path::{Component, Path, PathBuf};

use sheaf_store::{Error, Kind, Result};

/// The folders that are allowed, as they really are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folders: Vec<PathBuf>,
}

impl Files {
    /// # Errors
    /// [`Kind::Invalid`] for a folder that is not there.
    pub(crate) fn new(folders: &[PathBuf]) -> Result<Self> {
        let real = folders.iter().map(|folder| {
            let real = folder.canonicalize().ok().filter(|folder| folder.is_dir());
            real.ok_or_else(|| {
                Error::new(Kind::Invalid, format!("{} is no folder: make it", folder.display()))
            })
        });
        Ok(Self { folders: real.collect::<Result<_>>()? })
    }

    /// The folders, for people.
    pub(crate) fn told(&self) -> String {
        let told: Vec<_> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        told.join(", ")
    }

    /// The real path of a file or a folder that a statement names.
    ///
    /// # Errors
    /// [`Kind::Denied`] for one that is not below an allowed folder, wherever links lead.
    pub(crate) fn allowed(&self, location: &str) -> Result<String> {
        let path = Path::new(location.strip_prefix("file://").unwrap_or(location));
        if self.folders.is_empty() {
            let message = format!(
                "{location}: this store lets statements touch no files; `sheaf serve --sql-dir \
                 FOLDER` allows a folder"
            );
            return Err(Error::new(Kind::Denied, message));
        }
        let real = real(path).filter(|real| self.has(real) && !location.contains('%'));
        let real = real.ok_or_else(|| {
            let message = format!(
                "{location} is not below a folder that statements may touch ({}): give the whole \
                 path of one that is",
                self.told()
            );
            Error::new(Kind::Denied, message)
        })?;
        let slash = if location.ends_with('/') && !real.ends_with("/") { "/" } else { "" };
        Ok(format!("{}{slash}", real.display()))
    }

    /// Whether what is at this path now, or would be, is below an allowed folder.
    pub(crate) fn hold(&self, path: &Path) -> bool {
        real(path).is_some_and(|real| self.has(&real))
    }

    fn has(&self, real: &Path) -> bool {
        self.folders.iter().any(|folder| real.starts_with(folder))
    }
}

/// The path with all links followed; what is not there yet is taken as it is written.
fn real(path: &Path) -> Option<PathBuf> {
    let is_plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !is_plain {
        return None;
    }
    let there = path.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok())?;
    let rest = path.strip_prefix(there).ok()?;
    // A link that leads nowhere has no real path.
    let real = there.canonicalize().ok()?;
    Some(if rest.as_os_str().is_empty() { real } else { real.join(rest) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_is_below_an_allowed_folder_may_be_touched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (inside, outside) = (root.join("in"), root.join("out"));
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        symlink(&outside, inside.join("way-out")).unwrap();
        symlink(outside.join("nothing"), inside.join("dangling")).unwrap();
        let files = Files::new(std::slice::from_ref(&inside)).unwrap();
        let path = |text: &str| inside.join(text).display().to_string();

        for good in ["t.parquet", "deep/t.parquet", "deep/new/t.parquet", "deep/"] {
            assert_eq!(files.allowed(&path(good)).unwrap(), path(good));
            assert_eq!(files.allowed(&format!("file://{}", path(good))).unwrap(), path(good));
        }
        let bad = ["way-out/t", "dangling", "../out/t", "deep/../../out/t", "%2e%2e/t"].map(path);
        let far = ["/etc/passwd", "t.parquet", "s3://bucket/t", "https://host/t", ""];
        for bad in bad.iter().map(String::as_str).chain(far) {
            assert_eq!(files.allowed(bad).unwrap_err().kind(), Kind::Denied, "{bad}");
        }
        let error = Files::new(&[]).unwrap().allowed(&path("t")).unwrap_err();
        assert!(error.to_string().contains("--sql-dir"), "{error}");
    }
}

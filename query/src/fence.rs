//! The files that statements touch, looked at each time one is opened: a name that led into an
//! allowed folder when a statement was planned may be a link out of it now.

use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::plan_err;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use url::Url;

use crate::files::Files;

/// The one place that statements may read files from and write them to: what is allowed of the
/// machine's own.
#[derive(Debug)]
pub(crate) struct OnlyFiles(Arc<Fenced>);

impl OnlyFiles {
    pub(crate) fn new(files: Files) -> Self {
        Self(Arc::new(Fenced { inner: LocalFileSystem::new(), files: Arc::new(files) }))
    }
}

impl ObjectStoreRegistry for OnlyFiles {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> datafusion::error::Result<Arc<dyn ObjectStore>> {
        match url.scheme() {
            "file" => Ok(self.0.clone()),
            other => plan_err!("{other}: only files of this machine can be read and written"),
        }
    }
}

/// Files below the allowed folders, wherever links lead.
#[derive(Debug)]
struct Fenced {
    inner: LocalFileSystem,
    files: Arc<Files>,
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files below {}", self.files.told())
    }
}

fn denied(location: &Path) -> Error {
    let source = "it leads out of the folders that statements may touch".into();
    Error::PermissionDenied { path: location.to_string(), source }
}

impl Fenced {
    fn check(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        if self.files.hold(&path) { Ok(()) } else { Err(denied(location)) }
    }

    /// The same for one that is open: what its name leads to now does not matter any more.
    fn check_open(&self, file: &File, location: &Path) -> Result<()> {
        let real: Option<PathBuf> =
            std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
        let inside = real.is_some_and(|real| self.files.hold(&real));
        if inside { Ok(()) } else { Err(denied(location)) }
    }
}

#[async_trait]
impl ObjectStore for Fenced {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.check(location)?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check(location)?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(location)?;
        let got = self.inner.get_opts(location, options).await?;
        if let GetResultPayload::File(file, _) = &got.payload {
            self.check_open(file, location)?;
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        // No statement deletes files.
        locations.map(|location| Err(denied(&location?))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let own = Self { inner: self.inner.clone(), files: self.files.clone() };
        let found = self.inner.list(prefix);
        // What leads out is not there.
        let inside = move |found: &Result<ObjectMeta>| {
            let inside = found.as_ref().map_or(true, |found| own.check(&found.location).is_ok());
            std::future::ready(inside)
        };
        found.filter(inside).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut found = self.inner.list_with_delimiter(prefix).await?;
        found.objects.retain(|found| self.check(&found.location).is_ok());
        found.common_prefixes.retain(|prefix| self.check(prefix).is_ok());
        Ok(found)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check(from)?;
        self.check(to)?;
        self.inner.copy_opts(from, to, options).await
    }
}

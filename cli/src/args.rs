//! What every verb shares on the command line: which store, and how much to log.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::styling::{AnsiColor, Styles};
use sheaf_flight::{AnyDoor, FarOptions, FarTls};
use tracing_subscriber::EnvFilter;

use crate::error::{Error, Result};
use crate::verb::Verb;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// Keeps Arrow tables in shared memory, once, for every process of the machine.
#[derive(Debug, Parser)]
#[command(name = "sheaf", version, styles = STYLES, max_term_width = 100)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(after_help = "\
Examples:
  sheaf demo                              see it work, with real data and no set-up
  sheaf serve --memory 4GiB &             start a store
  sheaf put trades trades.parquet         put a table
  sheaf get trades                        look at it; into a pipe: an Arrow stream
  sheaf ls --holders                      what is there, and who holds it

Exit status: 0 done, 1 failed (one line on stderr says why), 2 misused.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Global {
    /// The store: unix:PATH or a plain path, or by Flight grpc://HOST:PORT, grpc+tls://HOST:PORT or
    /// grpc+unix:///PATH [default: unix:$XDG_RUNTIME_DIR/sheaf/store.sock].
    #[arg(long, global = true, env = "SHEAF_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    #[command(flatten)]
    far: Far,
    /// What to log on stderr: error, warn, info, debug, or a filter such as sheaf_store=trace.
    #[arg(long, global = true, env = "RUST_LOG", value_name = "FILTER", hide_env_values = true)]
    log: Option<String>,
}

/// What a store that is reached by Flight may ask for.
#[derive(Debug, clap::Args)]
struct Far {
    /// By Flight: the token to show.
    #[arg(long, global = true, env = "SHEAF_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// By Flight with TLS: the certificates to trust instead of the system's.
    #[arg(long, global = true, env = "SHEAF_CA", value_name = "FILE", hide_env_values = true)]
    ca: Option<PathBuf>,
    /// By Flight with TLS: one's own certificate.
    #[arg(long, global = true, requires = "client_key", value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// By Flight with TLS: its key.
    #[arg(long, global = true, requires = "client_cert", value_name = "FILE")]
    client_key: Option<PathBuf>,
}

impl Far {
    fn options(&self) -> FarOptions {
        let identity = self.client_cert.clone().zip(self.client_key.clone());
        let tls = FarTls { ca: self.ca.clone(), identity, server_name: None };
        FarOptions { token: self.token.clone(), tls, ..FarOptions::default() }
    }
}

impl Global {
    /// The store's URL.
    fn url(&self) -> Result<String> {
        match &self.store {
            Some(given) => normal_url(given),
            None => Ok(sheaf_store::default_url()),
        }
    }

    /// The URL of a store on this machine.
    pub(crate) fn near_url(&self) -> Result<String> {
        let url = self.url()?;
        if is_far(&url) {
            let message = format!("--store {url} leads through Flight; here give unix:PATH");
            return Err(Error::usage(message));
        }
        Ok(url)
    }

    /// The path of its socket.
    pub(crate) fn socket(&self) -> Result<PathBuf> {
        Ok(socket_of(&self.near_url()?).to_owned())
    }

    /// A connection to the store: mapped where it is on this machine.
    pub(crate) fn connect(&self) -> Result<AnyDoor> {
        let url = self.url()?;
        let options = if is_far(&url) { self.far.options() } else { FarOptions::default() };
        Ok(sheaf_flight::connect(&url, &options)?)
    }

    /// Sends what is logged to stderr.
    pub(crate) fn start_log(&self, default: &str) -> Result<()> {
        let filter = self.log.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(default);
        let filter = EnvFilter::try_new(filter)
            .map_err(|error| Error::usage(format!("--log {filter}: {error}")))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(crate::term::stderr_has_colours())
            .init();
        Ok(())
    }
}

/// The path in a URL of the near door.
pub(crate) fn socket_of(url: &str) -> &Path {
    Path::new(url.strip_prefix("unix:").unwrap_or(url))
}

fn is_far(url: &str) -> bool {
    url.contains("://")
}

/// `unix:PATH` of a URL (`unix:///path` too) or a plain path; a URL of Flight as it is.
fn normal_url(given: &str) -> Result<String> {
    let given = given.strip_prefix("unix://").unwrap_or(given);
    if let Some((scheme, _)) = given.split_once("://") {
        return match scheme {
            "grpc" | "grpc+tcp" | "grpc+tls" | "grpcs" | "grpc+unix" => Ok(given.to_owned()),
            _ => Err(Error::usage(format!(
                "--store {given}: {scheme} is no way to a store; give unix:PATH or grpc://HOST:PORT"
            ))),
        };
    }
    let path = given.strip_prefix("unix:").unwrap_or(given);
    if path.is_empty() {
        return Err(Error::usage("--store is empty; give unix:PATH or grpc://HOST:PORT"));
    }
    Ok(format!("unix:{path}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_plain_path_is_a_store() {
        assert_eq!(normal_url("/run/s.sock").unwrap(), "unix:/run/s.sock");
        assert_eq!(normal_url("unix:/run/s.sock").unwrap(), "unix:/run/s.sock");
        assert_eq!(normal_url("unix:///run/s.sock").unwrap(), "unix:/run/s.sock");
    }

    #[test]
    fn a_store_is_reached_by_flight_or_not_at_all() {
        assert_eq!(normal_url("grpc+tls://host:8815").unwrap(), "grpc+tls://host:8815");

        let error = normal_url("http://host:8815").unwrap_err();

        assert_eq!(error.status(), 2);
        assert!(error.to_string().contains("grpc://HOST:PORT"));
        assert_eq!(normal_url("unix:").unwrap_err().status(), 2);
    }
}

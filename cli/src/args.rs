//! What every verb shares on the command line: which store, and how much to log.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::builder::styling::{AnsiColor, Styles};
use sheaf_store::Client;
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
    /// The store: unix:PATH or a plain path [default: unix:$XDG_RUNTIME_DIR/sheaf/store.sock].
    #[arg(long, global = true, env = "SHEAF_STORE", value_name = "URL", hide_env_values = true)]
    store: Option<String>,
    /// What to log on stderr: error, warn, info, debug, or a filter such as sheaf_store=trace.
    #[arg(long, global = true, env = "RUST_LOG", value_name = "FILTER", hide_env_values = true)]
    log: Option<String>,
}

impl Global {
    /// The store's URL.
    pub(crate) fn url(&self) -> Result<String> {
        match &self.store {
            Some(given) => normal_url(given),
            None => Ok(sheaf_store::default_url()),
        }
    }

    /// The path of the store's socket.
    pub(crate) fn socket(&self) -> Result<PathBuf> {
        Ok(socket_of(&self.url()?).to_owned())
    }

    /// A connection to the store.
    pub(crate) fn connect(&self) -> Result<Client> {
        Ok(sheaf_store::connect(&self.url()?)?)
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

/// `unix:PATH` of a URL (`unix:///path` too) or a plain path.
fn normal_url(given: &str) -> Result<String> {
    let given = given.strip_prefix("unix://").unwrap_or(given);
    if let Some((scheme, _)) = given.split_once("://") {
        return Err(Error::usage(match scheme {
            "grpc" | "grpcs" | "grpc+tcp" | "grpc+tls" => format!(
                "--store {given}: this version reaches stores of the same machine only; \
                 give unix:PATH"
            ),
            _ => format!("--store {given}: {scheme} is no way to a store; give unix:PATH"),
        }));
    }
    let path = given.strip_prefix("unix:").unwrap_or(given);
    if path.is_empty() {
        return Err(Error::usage("--store is empty; give unix:PATH"));
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
    fn a_far_store_is_refused_as_misuse() {
        let error = normal_url("grpc://host:8815").unwrap_err();

        assert_eq!(error.status(), 2);
        assert!(error.to_string().contains("unix:PATH"));
        assert_eq!(normal_url("unix:").unwrap_err().status(), 2);
    }
}

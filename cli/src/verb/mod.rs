//! The verbs, one file each.

mod demo;
mod demo_flight;
mod demo_reader;
mod doctor;
mod get;
mod ls;
mod put;
mod rm;
mod schema;
mod serve;
mod show;
mod sort;
mod sort_files;
mod sql;
mod stat;
mod token;
mod wait;

use crate::args::Global;
use crate::error::Result;
use crate::term::Out;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Put(put::Put),
    Get(get::Get),
    Ls(ls::Ls),
    Show(show::Show),
    Schema(schema::Schema),
    Wait(wait::Wait),
    Rm(rm::Rm),
    Sort(sort::Sort),
    Sql(sql::Sql),
    Stat(stat::Stat),
    Token(token::Token),
    Doctor(doctor::Doctor),
    #[command(hide = true)]
    DemoReader(demo_reader::DemoReader),
}

impl Verb {
    /// What is logged unless the user says otherwise: a daemon tells more than a tool.
    pub(crate) fn log_level(&self) -> &'static str {
        if matches!(self, Self::Serve(_)) { "info" } else { "warn" }
    }

    /// Does it.
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        match self {
            Self::Demo(verb) => verb.run(out),
            Self::Serve(verb) => verb.run(global),
            Self::Put(verb) => verb.run(global),
            Self::Get(verb) => verb.run(global, out),
            Self::Ls(verb) => verb.run(global, out),
            Self::Show(verb) => verb.run(global, out),
            Self::Schema(verb) => verb.run(global, out),
            Self::Wait(verb) => verb.run(global, out),
            Self::Rm(verb) => verb.run(global),
            Self::Sort(verb) => verb.run(global),
            Self::Sql(verb) => verb.run(global, out),
            Self::Stat(verb) => verb.run(global, out),
            Self::Token(verb) => verb.run(out),
            Self::Doctor(verb) => verb.run(global, out),
            Self::DemoReader(verb) => verb.run(global, out),
        }
    }
}

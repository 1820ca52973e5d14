//! The `pocketlens` command: makes, asks and inspects visual indexes.
//!
//! `--json` prints one object a line on stdout; messages and progress go to stderr. Exit codes:
//! 0 done, 1 refused (with the reason), 2 usage.

mod catalogue;
mod commands;
mod download;
mod progress;
mod registry;
mod report;
mod scratch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Visual search on the device: a folder of photos becomes an index, a photo becomes an answer.
#[derive(Parser)]
#[command(name = "pocketlens", version, propagate_version = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render a sample store, index it, search it with camera pictures and report what was right
    Demo(commands::demo::Arguments),
    /// Make or inspect an index
    #[command(subcommand)]
    Index(commands::index::Command),
    /// Search an index with photos
    Search(commands::search::Arguments),
    /// Print the descriptor of photos
    Embed(commands::embed::Arguments),
    /// Measure retrieval on a folder with a ground truth (gt.tsv)
    Eval(commands::eval::Arguments),
    /// Find photos of the same thing in a catalogue without labels: pairs, groups, near duplicates
    Mine(commands::mine::Arguments),
    /// Learn a recipe's whitening from photos without labels and write a bundle
    Fit(commands::fit::Arguments),
    /// Inspect a model bundle, or quantise its network
    #[command(subcommand)]
    Bundle(commands::bundle::Command),
    /// Measure the time of each stage, or of each layer of the network
    Bench(commands::bench::Arguments),
    /// Check that this device gives the golden descriptors, judge its delegates, and report
    Selftest(commands::selftest::Arguments),
    /// Make a distributed engine hold what an index holds
    Push(commands::push::Arguments),
    /// Serve an index to devices, with a page to try it from a phone's or desktop's browser
    Serve(commands::serve::Arguments),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Index(command) => commands::index::run(&command),
        Command::Search(arguments) => commands::search::run(&arguments),
        Command::Embed(arguments) => commands::embed::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Mine(arguments) => commands::mine::run(&arguments),
        Command::Fit(arguments) => commands::fit::run(&arguments),
        Command::Bundle(command) => commands::bundle::run(&command),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Selftest(arguments) => commands::selftest::run(&arguments),
        Command::Push(arguments) => commands::push::run(&arguments),
        Command::Serve(arguments) => commands::serve::run(&arguments),
    };
    match outcome {
        Ok(code) => code,
        // A reader that has seen enough (`pocketlens … | head`) is no error of ours.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pocketlens: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

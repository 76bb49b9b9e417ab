//! The `trtc` command: a server, members in a terminal, tokens.
#![forbid(unsafe_code)]

mod demo;
mod join;
mod logger;
mod meters;
mod pattern;
mod serve;
mod stop;
mod token;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Real-time calls from the command line.
#[derive(Parser)]
#[command(name = "trtc", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a room server.
    Serve(serve::Arguments),
    /// Join a room as a member.
    Join(Box<join::Arguments>),
    /// Hold a two-way call between three processes, and measure it.
    Demo(demo::Arguments),
    /// Write the built-in test picture to a raw I420 file.
    Pattern(pattern::Arguments),
    /// Make or check a token or a ticket.
    Token(token::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logger::install();
    let result = match arguments.command {
        Command::Serve(arguments) => return serve::run(&arguments),
        Command::Join(arguments) => join::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Pattern(arguments) => pattern::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("trtc: {message}");
            ExitCode::FAILURE
        }
    }
}

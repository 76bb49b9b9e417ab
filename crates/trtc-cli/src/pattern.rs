//! `trtc pattern`: the built-in moving picture as a raw I420 file, to send or compare with other programs.
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use trtc_media::pattern::Pattern;
use trtc_sdk::types::I420;

/// Options of `trtc pattern`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Width in pixels, even.
    #[arg(long, default_value_t = 640, value_parser = clap::value_parser!(u32).range(64..=3840))]
    width: u32,
    /// Height in pixels, even.
    #[arg(long, default_value_t = 360, value_parser = clap::value_parser!(u32).range(64..=2160))]
    height: u32,
    /// Frames per second.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    fps: u32,
    /// Length.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Raw I420 file to write.
    #[arg(long)]
    output: PathBuf,
}

/// Writes the file.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    write(arguments).map_err(|e| format!("{}: {e}", arguments.output.display()))
}

fn write(arguments: &Arguments) -> std::io::Result<()> {
    let (width, height) = (arguments.width as usize / 2 * 2, arguments.height as usize / 2 * 2);
    let (pattern, mut picture) = (Pattern::new(width, height), I420::black(width, height));
    let mut out = BufWriter::new(std::fs::File::create(&arguments.output)?);
    for index in 0..arguments.fps * arguments.seconds {
        pattern.draw(index, index * 1000 / arguments.fps, &mut picture);
        out.write_all(picture.data())?;
    }
    out.flush()
}

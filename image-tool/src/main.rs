//! `imgtool`: builds images, signs them, publishes them and pins groups of nodes to them.

use std::process::ExitCode;

fn main() -> ExitCode {
    image_tool::main()
}

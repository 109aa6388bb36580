//! Writes the valid inputs of every target to its corpus: `cargo run -p bascule-fuzz --example seeds`, after a format has changed.

use std::fs;
use std::io;

use bascule_fuzz::corpus;
use bascule_fuzz::targets::ALL;

fn main() -> io::Result<()> {
    for target in ALL {
        let dir = corpus::dir(target.name);
        fs::create_dir_all(&dir)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(dir.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

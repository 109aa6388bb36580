//! `imgagent`: see the library.

fn main() {}

//! Installations on a simulated disk: complete, cut at every write, with faults, with a server or a seed that lies.

mod cuts;
mod faults;
mod find;
mod power;
mod sources;
mod ways;
mod world;

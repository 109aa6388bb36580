//! Whole lives of a node on a simulated disk, with the power gone at every point.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`site`] | tiny images and what is true about them |
//! | [`node`] | the agent from power-on to a verdict, on the functions that the real one uses |
//! | [`rules`] | what must hold on every disk that a power cut leaves |
//! | [`life`] | the life: laid out, installed, confirmed, updated, rolled back, repaired |
//! | [`small`] | every loss of every cut of that life, cuts in the recovery, a flush that lies, failing operations |
//! | [`large`] | the same for images of many chunks, by samples |
//!
//! Images of the small life have a few sectors that are not zero, so that all that a cut may take or leave is enumerated: the
//! parts of a slot, the proof area, both copies of the record, the boot loader and its environment.

mod large;
mod life;
mod node;
mod rules;
mod site;
mod small;

mod commits;
mod deaths;
mod gc;
mod gc_beside;
mod online;
mod patches;
mod publisher;
mod refusals;

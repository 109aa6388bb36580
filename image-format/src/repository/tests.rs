mod commits;
mod deaths;
mod online;
mod patches;
mod publisher;
mod refusals;

mod commits;
mod deaths;
mod online;
mod publisher;
mod refusals;

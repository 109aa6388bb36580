mod commits;
mod deaths;
mod publisher;
mod refusals;

//! `imgserver`: content store, signed metadata, netboot scripts and the inventory of nodes, over HTTP.
//!
//! ```text
//!            nodes, iPXE                     imgtool, nodes' reports
//!                │                                   │
//!        delivery listener                     admin listener           net: caps, time-outs, drain
//!                │                                   │
//!        delivery: GET, HEAD                  admin: token, JSON        http: extractors, errors, log line
//!                └──────────────┬────────────────────┘
//!                    content: store, signed view        boot: which image, script (pure)
//!                    fleet: inventory in SQLite         metrics, ready
//!                    online: snapshot and timestamp, signed on time
//!                    care: the store is read again and again
//! ```
//! The accept loop is our own, for its caps and time-outs; behind it, requests are routed by axum: each module with handlers
//! has one `router()`, and `delivery::router` and `admin::router` merge them behind the checks of their listener.
//!
//! What a request may change is decided in three places only: `admin::upload` (objects), `content::commit` (metadata, verified by
//! `image_format::repository`), `fleet` (what nodes say, and what admins say about their keys). The server holds no key that can sign an image or a pin: at
//! most those of snapshot and timestamp, which say what is current.
//!
//! The library exists for the program and its tests; its API follows their needs.

pub mod admin;
pub mod app;
pub mod atomic;
pub mod boot;
pub mod care;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod content;
pub mod delivery;
pub mod extents;
pub mod files;
pub mod fleet;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod net;
pub mod online;
pub mod ready;
pub mod server;
pub mod settings;
pub mod token;

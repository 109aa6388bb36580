//! The agent on a node: `/init` in the initramfs, and the health service in the booted system.
//!
//! Blocking I/O and two threads at most; everything that the environment gives (command line, sysfs, devices) comes in as
//! an argument, so that the boot path can be tested on a laptop.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`cmdline`] | the `bascule.` words of the kernel command line |
//! | [`console`] | one line a step |
//! | [`disk`] | finding the disk, the record, installing an image |
//! | [`modules`] | kernel modules by list and by device |
//! | [`identity`] | the node's key: what it signs, and how the server comes to know it |
//! | [`net`] | interface, DHCP, address |
//! | [`http`] | a bounded HTTP client |
//! | [`sys`] | system calls without a safe wrapper: the only `unsafe` |

pub mod boot;
pub mod cmdline;
pub mod console;
pub mod disk;
pub mod fleet;
pub mod health;
pub mod http;
pub mod identity;
pub mod init;
pub mod modules;
pub mod net;
pub mod process;
pub mod status;
pub mod sys;

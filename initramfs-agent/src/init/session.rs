//! All that one boot knows: disk, record, server, wish.

use std::time::{Duration, Instant};

use image_format::pin::Assignments;
use image_format::record::{ImageRef, Record};
use image_format::state::{Arrival, Wanted};
use image_format::{Group, NodeId};

use super::early_identity::early;
use super::environment::Environment;
use super::link::Link;
use super::storage::Storage;
use crate::cmdline::BootSource;
use crate::disk::{BootDisk, Survey};
use crate::fleet::report::Running;
use crate::fleet::{Reporter, Server, Wish, WishError, clock, wish};
use crate::http::BaseUrl;
use crate::identity::token_for;
use crate::modules::Loader;
use crate::net::Mac;
use crate::say;
use fleet_protocol::{Event, Health};

/// How long network and server are waited for when a confirmed slot can be booted instead.
const WITH_SLOT: Duration = Duration::from_secs(20);

/// How long when there is nothing else to boot.
const WITHOUT_SLOT: Duration = Duration::from_secs(300);

/// One boot.
pub(super) struct Session<'e> {
    pub(super) environment: &'e Environment,
    /// Our disk; none before it was laid out.
    pub(super) disk: Option<BootDisk>,
    /// Other disks, when there is none of ours.
    pub(super) survey: Survey,
    pub(super) record: Record,
    pub(super) server: Option<Server>,
    /// The admin listener.
    pub(super) admin: Option<BaseUrl>,
    pub(super) reporter: Option<Reporter>,
    pub(super) running: Running,
    pub(super) wish: Option<Wish>,
    /// Why there is no wish.
    pub(super) no_wish: Option<String>,
    link: Link,
    devices: Loader,
}

impl<'e> Session<'e> {
    pub(super) fn new(environment: &'e Environment, storage: Storage, link: Link, devices: Loader) -> Self {
        let (disk, survey, record) = match storage {
            Storage::Ours(ours) => (Some(ours.0), Survey::default(), ours.1),
            Storage::Other(survey) => (None, survey, Record::default()),
        };
        Self {
            environment,
            disk,
            survey,
            record,
            server: None,
            admin: None,
            reporter: None,
            running: Running::default(),
            wish: None,
            no_wish: None,
            link,
            devices,
        }
    }

    /// How this kernel was started.
    pub(super) fn arrival(&self) -> Arrival {
        match self.environment.cmdline.boot {
            BootSource::Kexec => Arrival::Kexec,
            BootSource::Net | BootSource::Local => Arrival::Firmware,
        }
    }

    /// The interface's address: as the command line says, else the one in use, else as remembered.
    pub(super) fn mac(&self) -> Option<Mac> {
        let remembered = || self.record.node.as_ref().and_then(|node| node.as_str().parse().ok());
        self.environment.cmdline.mac.or_else(|| self.link.mac()).or_else(remembered)
    }

    /// This node.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.mac().map(Mac::node).or_else(|| self.record.node.clone())
    }

    /// What the decision is about.
    pub(super) fn wanted(&self) -> Option<Wanted> {
        self.wish.as_ref().map(|wish| Wanted {
            image: ImageRef::of(&wish.manifest, wish.digest),
            attempts: wish.manifest.health.attempts,
        })
    }

    /// Asks the server what to run, within a bound, and remembers what it proved.
    pub(super) fn refresh(&mut self) {
        if self.arrival() == Arrival::Kexec && self.record.state.handover().is_some() {
            self.running.group = self.remembered_group();
            return;
        }
        let known = |from_cmdline: &Option<BaseUrl>, remembered: &Option<String>| {
            from_cmdline.clone().or_else(|| remembered.as_deref()?.parse().ok())
        };
        let cmdline = &self.environment.cmdline;
        let delivery = known(&cmdline.server, &self.record.servers.delivery);
        self.admin = known(&cmdline.admin, &self.record.servers.admin);
        let enrolled = self.enrolled_group();
        self.running.group = self.remembered_group();
        // The state partition is looked at while the network comes up.
        let identity = early(self.disk.as_ref());
        let Some(delivery) = delivery else {
            self.without("no server is known: neither bascule.server nor the boot record names one");
            return;
        };
        let patience = if self.record.state.preferred().is_some() { WITH_SLOT } else { WITHOUT_SLOT };
        let until = Instant::now() + patience;
        if self.link.wait(until, &mut self.devices).is_none() {
            self.without("there is no network");
            return;
        }
        let Some(node) = self.node() else {
            self.without("this node has no identity: no interface address is known");
            return;
        };
        let mut reporter = Reporter::new(self.admin.clone(), node.clone());
        if let Some(identity) = identity {
            reporter.sign_with(identity);
        }
        self.reporter = Some(reporter);
        let mut server = Server::new(delivery.clone(), until.saturating_duration_since(Instant::now()));
        let refreshed = wish::ask(
            &mut server,
            &self.environment.root_json,
            &self.record,
            &node,
            enrolled.as_ref(),
            clock::now(self.record.newest_time()),
        );
        let mut record = self.record.clone();
        record.node = Some(node);
        if refreshed.trusted.is_some() {
            record.trusted = refreshed.trusted;
            record.roots = refreshed.roots;
            record.servers.delivery = Some(delivery.to_string());
            record.servers.admin = self.admin.as_ref().map(BaseUrl::to_string);
        }
        self.server = Some(server);
        self.take(refreshed.wish, &mut record);
        self.remember(record);
    }

    fn take(&mut self, wish: Result<Wish, WishError>, record: &mut Record) {
        match wish {
            Ok(wish) => {
                say!(
                    "metadata: group {} runs {} (manifest {})",
                    wish.group,
                    wish.manifest.name,
                    wish.digest.short()
                );
                if let Some(time) = wish.signed_time {
                    record.saw_time(time);
                }
                self.running.group = Some(wish.group.clone());
                self.wish = Some(wish);
            }
            Err(error) => {
                let unreachable = error.is_unreachable();
                let reason = format!("{:#}", anyhow::Error::new(error));
                self.without(&reason);
                if !unreachable {
                    self.report(Event::Failed, Health::Pending, &reason);
                }
            }
        }
    }

    fn without(&mut self, reason: &str) {
        say!("metadata: {reason}; no update in this boot");
        self.no_wish = Some(reason.to_owned());
    }

    /// The group by the assignments that were verified last, and by the enrolment.
    fn remembered_group(&self) -> Option<Group> {
        let text = self.record.trusted.as_ref().and_then(|trusted| trusted.assignments.as_ref());
        let assignments = text.and_then(|text| Assignments::parse(text.as_bytes()).ok());
        let enrolled = self.record.enrolled.as_ref().and_then(|enrolled| enrolled.group.as_ref());
        match (assignments, self.node()) {
            (Some(assignments), Some(node)) => assignments.group_with(&node, enrolled).cloned(),
            _ => enrolled.cloned(),
        }
    }

    /// The group of the enrolment; before it that of the join token, so that a node can be installed and enrol then.
    fn enrolled_group(&self) -> Option<Group> {
        match &self.record.enrolled {
            Some(enrolled) => enrolled.group.clone(),
            None => token_for(self.environment.cmdline.join.as_ref(), &self.environment.root_digest())?
                .group
                .clone(),
        }
    }

    /// Takes over a record, on the disk if there is one. What cannot be saved now is asked for again next time.
    fn remember(&mut self, record: Record) {
        if record == self.record {
            return;
        }
        if let Some(disk) = &self.disk
            && let Err(error) = disk.save_record(&record)
        {
            say!("record: {:#}; going on with the older one", anyhow::Error::new(error));
            return;
        }
        self.record = record;
    }

    /// Tells the server, if it is known.
    pub(super) fn report(&mut self, event: Event, health: Health, message: &str) {
        if let Some(reporter) = &mut self.reporter {
            reporter.send(event, health, message, &self.running, &self.record);
        }
    }
}

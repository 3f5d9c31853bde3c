//! The real network in a world: relay and orchestrator on public hosts, nodes in homes, and somebody who asks.

mod asker;
mod process;
mod programs;
mod reference;
mod status;

pub(crate) use asker::{Asker, Question};
pub(crate) use process::Process;
pub(crate) use programs::{Pool, Programs};
pub(crate) use reference::Reference;
pub(crate) use status::{Layers, NodeStatus, Pace, Role, Status};

use std::time::{Duration, Instant};

use serde_json::Value;

use super::outcome::Failure;
use super::world::{Public, World};

/// How long a network may take until all that was started serves.
pub(crate) const FORM: Duration = Duration::from_secs(120);

/// How long it must stay so after a disturbance.
const STEADY: Duration = Duration::from_secs(1);

/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A node in a home.
pub(crate) struct Member {
    /// Its home, by place in [`World::homes`].
    pub(crate) home: usize,
    /// Its node id.
    pub(crate) node: String,
    /// Where it listens.
    pub(crate) addresses: Vec<String>,
    /// The process.
    pub(crate) process: Process,
}

/// A running network.
pub(crate) struct Network<'w> {
    world: &'w World,
    programs: &'w Programs,
    pool: Pool,
    state: Option<String>,
    relay_addresses: Vec<String>,
    relay: Process,
    orchestrator: Process,
    invite: String,
    members: Vec<Member>,
    asker: Asker,
}

impl<'w> Network<'w> {
    /// Starts relay and orchestrator. With a state folder the orchestrator remembers, and can be restarted.
    pub(crate) async fn start(
        world: &'w World,
        programs: &'w Programs,
        pool: Pool,
        state: Option<String>,
    ) -> Result<Self, Failure> {
        let (host, logs) = (world.public(Public::Relay), &programs.folder);
        let (relay, ready) = Process::start(host, "relay", &programs.computepool, &programs.relay(), logs).await?;
        let relay_addresses = texts(&ready["addresses"]);
        let (orchestrator, invite) =
            start_orchestrator(world, programs, pool, &relay_addresses, state.as_deref()).await?;
        let asker = Asker::new(format!("http://{}:{}/v1", Public::Orchestrator.address(), programs::HTTP))?;
        Ok(Self {
            world,
            programs,
            pool,
            state,
            relay_addresses,
            relay,
            orchestrator,
            invite,
            members: Vec::new(),
            asker,
        })
    }

    /// Starts a node in a home, which is given the invite link and nothing else.
    pub(crate) async fn join(&mut self, home: usize, threads: u32) -> Result<&Member, Failure> {
        let place = &self.world.homes()[home];
        let (programs, name) = (self.programs, place.name());
        let arguments = programs.node(name, &self.invite, threads);
        let (process, ready) =
            Process::start(place.host(), name, &programs.computepool, &arguments, &programs.folder).await?;
        let node = ready["node"].as_str().unwrap_or_default().to_owned();
        let member = Member { home, node, addresses: texts(&ready["addresses"]), process };
        self.members.retain(|member| member.home != home);
        let at = self.members.partition_point(|member| member.home < home);
        self.members.insert(at, member);
        Ok(&self.members[at])
    }

    /// Starts a node in every home of the world.
    pub(crate) async fn join_all(&mut self) -> Result<(), Failure> {
        for home in 0..self.world.homes().len() {
            self.join(home, 1).await?;
        }
        Ok(())
    }

    /// The nodes, in the order of their homes.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// One of them, to do something to it.
    pub(crate) fn member(&mut self, node: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.node == node)
    }

    /// The one in a home.
    pub(crate) fn at_home(&mut self, home: usize) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.home == home)
    }

    /// A process by its name: `relay`, `orchestrator`, or a home's.
    pub(crate) fn process(&mut self, name: &str) -> Option<&mut Process> {
        let fixed = [&mut self.relay, &mut self.orchestrator].into_iter();
        let mut all = fixed.chain(self.members.iter_mut().map(|member| &mut member.process));
        all.find(|process| process.name() == name)
    }

    /// The world it is in.
    pub(crate) fn world(&self) -> &'w World {
        self.world
    }

    /// Somebody who asks its orchestrator.
    pub(crate) fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// The orchestrator's process.
    pub(crate) fn orchestrator(&mut self) -> &mut Process {
        &mut self.orchestrator
    }

    /// Starts the orchestrator anew, as it was started first.
    pub(crate) async fn restart_orchestrator(&mut self) -> Result<(), Failure> {
        let (process, invite) =
            start_orchestrator(self.world, self.programs, self.pool, &self.relay_addresses, self.state.as_deref())
                .await?;
        (self.orchestrator, self.invite) = (process, invite);
        Ok(())
    }

    /// Waits until the status is as wanted; how long that took.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Status) -> bool,
    ) -> Result<Duration, Failure> {
        let start = Instant::now();
        let mut last = Status::default();
        while start.elapsed() < within {
            if let Ok(status) = self.asker.status().await {
                if wanted(&status) {
                    return Ok(start.elapsed());
                }
                last = status;
            }
            self.all_run()?;
            tokio::time::sleep(LOOK).await;
        }
        let nodes = last.nodes.iter().map(|node| format!("\n  {}: {}, {}", node.name, node.phase, node.reason));
        let spares = last.pool().and_then(|pool| pool.spares);
        let nodes: String = nodes.collect();
        Err(Failure::new(format!("{what}: not within {} s; spares {spares:?}{nodes}", within.as_secs())))
    }

    /// A failure that names a process which has ended by itself, if there is one.
    fn all_run(&mut self) -> Result<(), Failure> {
        let fixed = [&mut self.relay, &mut self.orchestrator].into_iter();
        let mut all = fixed.chain(self.members.iter_mut().map(|member| &mut member.process));
        match all.find_map(|process| process.has_ended().then_some(process)) {
            Some(process) => Err(Failure::new(format!("{} has ended:\n{}", process.name(), process.last_words()))),
            None => Ok(()),
        }
    }

    /// What it is to be whole: every node that was started serves, and where there are enough of them, each place has
    /// a spare.
    fn wholeness(&self) -> impl Fn(&Status) -> bool + use<> {
        let ids: Vec<String> = self.members.iter().map(|member| member.node.clone()).collect();
        let spares = ids.len() >= 2 * self.pool.shards as usize;
        move |status| ids.iter().all(|id| status.is_ready(id)) && (!spares || status.has_spares())
    }

    /// Waits until the network is whole; how long that took.
    pub(crate) async fn whole(&mut self, within: Duration) -> Result<Duration, Failure> {
        let is_whole = self.wholeness();
        self.until("the network is not whole", within, is_whole).await
    }

    /// The same after a disturbance: it has to stay whole for a while, since an absence may not have been noticed yet.
    /// The time is that until it was whole for good.
    pub(crate) async fn whole_again(&mut self, within: Duration) -> Result<Duration, Failure> {
        let start = Instant::now();
        let is_whole = self.wholeness();
        loop {
            self.until("the network is not whole", within.saturating_sub(start.elapsed()), &is_whole).await?;
            let took = start.elapsed();
            if self.stays(&is_whole).await? {
                return Ok(took);
            }
        }
    }

    /// Whether the status stays as it is wanted.
    async fn stays(&mut self, wanted: impl Fn(&Status) -> bool) -> Result<bool, Failure> {
        let start = Instant::now();
        while start.elapsed() < STEADY {
            self.all_run()?;
            if !wanted(&self.asker.status().await?) {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }

    /// Lets everybody leave, nodes first; the names of those that did not do it in order.
    pub(crate) async fn leave(self) -> Vec<String> {
        let mut unruly = Vec::new();
        let mut processes: Vec<Process> = self.members.into_iter().map(|member| member.process).collect();
        processes.iter_mut().for_each(Process::dismiss);
        processes.extend([self.orchestrator, self.relay]);
        for process in processes {
            let name = process.name().to_owned();
            if !process.leave().await {
                unruly.push(name);
            }
        }
        unruly
    }
}

async fn start_orchestrator(
    world: &World,
    programs: &Programs,
    pool: Pool,
    relay: &[String],
    state: Option<&str>,
) -> Result<(Process, String), Failure> {
    let arguments = programs.orchestrator(pool, relay, state);
    let host = world.public(Public::Orchestrator);
    let (process, ready) =
        Process::start(host, "orchestrator", &programs.computepool, &arguments, &programs.folder).await?;
    let invite = ready["invite"].as_str().ok_or_else(|| Failure::new("the orchestrator gives no invite link"))?;
    Ok((process, invite.to_owned()))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

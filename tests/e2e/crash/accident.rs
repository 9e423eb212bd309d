//! What goes wrong in a life, and when.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use testkit::wire::{Fault, RuleHandle, WireProxy};

use super::*;

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The operator is killed before the call reaches the server.
    KilledBefore,
    /// The operator is killed when the server has done what it was told, and before it knows.
    KilledAfter,
    /// The answer is lost, and the operator lives.
    AnswerLost,
}

/// One fault: the so-manieth call of a kind to a server.
#[derive(Clone, Debug)]
pub struct Point {
    pub server: Server,
    pub label: String,
    pub number: usize,
    pub mishap: Mishap,
}

/// A fault that waits for its call, and what there is to do when it comes.
pub struct Accident {
    point: Point,
    fault: RuleHandle,
    /// The number of the call on its wire, once it has come.
    call: Arc<AtomicU64>,
    killed: bool,
}

const NOT_YET: u64 = u64::MAX;

impl Accident {
    pub fn arm<L: Life>(life: &L, point: Point) -> Self {
        let fault = match point.mishap {
            Mishap::KilledBefore => Fault::HoldBefore,
            Mishap::KilledAfter => Fault::HoldAfter,
            Mishap::AnswerLost => Fault::CutAfter,
        };
        let seen = AtomicUsize::new(0);
        let (server, wanted, number) = (point.server, point.label.clone(), point.number);
        let call = Arc::new(AtomicU64::new(NOT_YET));
        let found = Arc::clone(&call);
        let fault = wire_of(life, server).rule(
            move |call| {
                let it = label::<L>(server, call).as_ref() == Some(&wanted)
                    && seen.fetch_add(1, Ordering::Relaxed) == number;
                if it {
                    found.store(call.seq, Ordering::Relaxed);
                }
                it
            },
            fault,
            Some(1),
        );
        Self {
            point,
            fault,
            call,
            killed: false,
        }
    }

    /// Kills the operator when its call has come, and starts it again.
    pub async fn look<L: Life>(&mut self, life: &mut L) {
        let kills = self.point.mishap != Mishap::AnswerLost;
        if kills && !self.killed && self.fault.hits() > 0 {
            life.stage_mut().kill();
            self.fault.remove();
            self.killed = true;
            life.stage_mut().start().await;
        }
    }

    /// At the end of a life: makes sure that what was to go wrong has gone wrong, as it was meant to.
    pub async fn has_happened<L: Life>(&mut self, life: &mut L) -> Result<(), String> {
        // The call may have been the last one, whose effect is seen before it is known to have come.
        let point = self.point.clone();
        let came = self.fault.hit(crate::stage::SOON).await;
        came.map_err(|_| format!("the call never came: {point:?}"))?;
        self.look(life).await;
        if self.killed != (point.mishap != Mishap::AnswerLost) {
            return Err(format!("nobody was killed: {point:?}"));
        }
        let number = self.call.load(Ordering::Relaxed);
        let calls = wire_of(life, point.server).calls_where(|call| call.seq == number);
        let [call] = calls.as_slice() else {
            return Err(format!("the call is not on the wire: {point:?}"));
        };
        let as_meant = match point.mishap {
            Mishap::KilledBefore => !call.forwarded,
            Mishap::KilledAfter | Mishap::AnswerLost => call.status.is_some(),
        };
        if as_meant {
            Ok(())
        } else {
            let (forwarded, status) = (call.forwarded, call.status);
            Err(format!(
                "forwarded: {forwarded}, answered: {status:?}: {point:?}"
            ))
        }
    }
}

fn wire_of<L: Life>(life: &L, server: Server) -> &WireProxy {
    match server {
        Server::Kubernetes => &life.stage().wire,
        Server::Provider => life.wire(),
    }
}

/// Every fault of a life.
pub fn points(calls: &Calls) -> Vec<Point> {
    let mut points = Vec::new();
    let mut seen: BTreeMap<(Server, &str), usize> = BTreeMap::new();
    for (server, label) in calls {
        let number = seen.entry((*server, label)).or_default();
        for mishap in [
            Mishap::KilledBefore,
            Mishap::KilledAfter,
            Mishap::AnswerLost,
        ] {
            points.push(Point {
                server: *server,
                label: label.clone(),
                number: *number,
                mishap,
            });
        }
        *number += 1;
    }
    points
}

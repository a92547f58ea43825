//! Requests of this process that wait for a slot: by class, and within one fair between workspaces.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use domain::{Urgency, WorkspaceId};
use hubspot::{BudgetRefused, Permit};
use store::EpochOf;
use tokio::{sync::oneshot, time::Instant};

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) connection: EpochOf,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Result<Permit, BudgetRefused>>,
}

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    classes: [VecDeque<Waiter>; 4],
    /// When a workspace was last served: those that were not for long go first.
    served: HashMap<WorkspaceId, u64>,
    clock: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, urgency: Urgency, waiter: Waiter) {
        self.classes[urgency.index()].push_back(waiter);
    }

    pub(crate) fn len(&self, urgency: Urgency) -> usize {
        self.classes[urgency.index()].len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.classes.iter().all(VecDeque::is_empty)
    }

    /// Forgets those whose callers went away.
    pub(crate) fn drop_closed(&mut self) {
        for class in &mut self.classes {
            class.retain(|w| !w.reply.is_closed());
        }
        if self.is_empty() {
            self.served.clear();
        }
    }

    /// Takes the next that may go: the most urgent class first, within it the workspace that waits
    /// longest for its turn.
    pub(crate) fn pop(&mut self, may_go: impl Fn(EpochOf) -> bool) -> Option<(Urgency, Waiter)> {
        for urgency in Urgency::ALL {
            let class = &mut self.classes[urgency.index()];
            let next = class
                .iter()
                .enumerate()
                .filter(|(_, w)| may_go(w.connection))
                .min_by_key(|(_, w)| self.served.get(&w.connection.workspace).copied())
                .map(|(n, _)| n);
            if let Some(waiter) = next.and_then(|n| class.remove(n)) {
                self.clock += 1;
                self.served.insert(waiter.connection.workspace, self.clock);
                return Some((urgency, waiter));
            }
        }
        None
    }

    /// Refuses those of the class for which `refusal` knows a reason, the one that waits longest first.
    pub(crate) fn refuse(
        &mut self,
        urgency: Urgency,
        mut refusal: impl FnMut(usize, &Waiter) -> Option<BudgetRefused>,
    ) {
        let class = &mut self.classes[urgency.index()];
        for (n, waiter) in std::mem::take(class).into_iter().enumerate() {
            match refusal(n, &waiter) {
                Some(refused) => {
                    // The caller may have gone away.
                    let _gone = waiter.reply.send(Err(refused));
                }
                None => class.push_back(waiter),
            }
        }
    }

    /// The connections that wait, each once.
    pub(crate) fn connections(&self) -> Vec<EpochOf> {
        let mut all: Vec<EpochOf> = Vec::new();
        for waiter in self.classes.iter().flatten() {
            if !all.contains(&waiter.connection) {
                all.push(waiter.connection);
            }
        }
        all
    }

    /// The first end of a wait.
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.classes.iter().flatten().map(|w| w.deadline).min()
    }

    /// How long the most patient of a class would still wait.
    pub(crate) fn patience(&self, urgency: Urgency, now: Instant) -> Duration {
        self.classes[urgency.index()]
            .iter()
            .map(|w| w.deadline.saturating_duration_since(now))
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use domain::Epoch;
    use uuid::Uuid;

    use super::*;

    fn waiter(workspace: u128) -> (Waiter, oneshot::Receiver<Result<Permit, BudgetRefused>>) {
        let (reply, answer) = oneshot::channel();
        let now = Instant::now();
        let waiter = Waiter {
            connection: EpochOf {
                workspace: WorkspaceId::new(Uuid::from_u128(workspace)),
                epoch: Epoch::new(1),
            },
            since: now,
            deadline: now + Duration::from_secs(1),
            reply,
        };
        (waiter, answer)
    }

    #[tokio::test]
    async fn classes_go_first_and_workspaces_take_turns() {
        let mut queue = Queue::default();
        let mut answers = Vec::new();
        for (urgency, workspace) in [
            (Urgency::Backfill, 1),
            (Urgency::Backfill, 1),
            (Urgency::Backfill, 1),
            (Urgency::Backfill, 2),
            (Urgency::Backfill, 2),
            (Urgency::Interactive, 1),
            (Urgency::Sync, 3),
        ] {
            let (waiter, answer) = waiter(workspace);
            queue.push(urgency, waiter);
            answers.push(answer);
        }
        assert_eq!(queue.connections().len(), 3);
        let mut order = Vec::new();
        while let Some((urgency, waiter)) = queue.pop(|_| true) {
            order.push((urgency, waiter.connection.workspace.as_uuid().as_u128()));
        }
        use Urgency::{Backfill, Interactive, Sync};
        assert_eq!(
            order,
            [
                (Interactive, 1),
                (Sync, 3),
                (Backfill, 2),
                (Backfill, 1),
                (Backfill, 2),
                (Backfill, 1),
                (Backfill, 1),
            ]
        );
    }

    #[tokio::test]
    async fn who_went_away_or_may_not_go_is_passed_over() {
        let mut queue = Queue::default();
        let (gone, answer) = waiter(1);
        drop(answer);
        queue.push(Urgency::Sync, gone);
        let (stays, mut answer) = waiter(2);
        queue.push(Urgency::Sync, stays);
        queue.drop_closed();
        assert_eq!(queue.len(Urgency::Sync), 1);
        assert!(queue.pop(|_| false).is_none());
        queue.refuse(Urgency::Sync, |_, _| Some(BudgetRefused::Fenced));
        assert_eq!(answer.try_recv().unwrap(), Err(BudgetRefused::Fenced));
        assert!(queue.is_empty());
    }
}

//! One bucket of one portal: leases slots for the requests that wait and lets them go in time.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    BudgetBucket, PauseReason, Urgency,
    rate_budget::{LeaseAsk, SLOT_GOOD_FOR, SlotTime, foreign_use, in_window},
};
use hubspot::{BudgetRefused, Permit, ResponseObservation};
use store::{BudgetKey, EpochOf, Leased, NewLease, StoreError};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    Shared,
    queue::{Queue, Waiter},
};

/// How long a look at a fence is good: the promise is one second, and the request has a way to go
/// (C4). No slot is good for longer than this after its lease.
const LOOK_IS_GOOD_FOR: Duration = Duration::from_millis(870);
/// A lease that took longer tells nothing about the time: its slots are given back.
const SLOW_LEASE: Duration = Duration::from_millis(500);
/// A database that takes longer is not there.
const LEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// An interactive request takes a slot that is held for others when it is as near as this; otherwise it
/// asks for one of its own.
const NEAR: Duration = Duration::from_millis(150);
/// Processes that were told the same moment come a little apart.
const JITTER_MS: u64 = 10;
/// Requests that are refused together come back this far apart.
const REFUSED_APART: Duration = Duration::from_millis(100);
/// A pause that ends so much later is another one.
const SAME_PAUSE: Duration = Duration::from_secs(1);
/// Who comes later than this to its turn has lost it.
const TURN_IS_GOOD_FOR: Duration = Duration::from_millis(300);
/// Slots asked for beyond the requests that wait, at most: readers that got one are soon back.
const MOST_EXTRA: u32 = 3;
/// After one of them went unused, so many slots are used before it is tried again.
const EXTRA_AFTER: u32 = 30;

/// A slot that was leased and not used yet.
#[derive(Debug, Clone, Copy)]
struct Held {
    slot: SlotTime,
    /// For whom it was leased; it serves whoever is the most urgent when its time comes.
    urgency: Urgency,
    from: Instant,
    until: Instant,
    ours_in_window: u32,
}

/// When a class asks again.
#[derive(Debug, Clone, Copy)]
struct Back {
    at: Instant,
    is_turn: bool,
}

/// How many slots to ask for beyond the requests that wait.
#[derive(Debug)]
struct Extra {
    slots: u32,
    used: u32,
}

impl Default for Extra {
    fn default() -> Self {
        Self {
            slots: MOST_EXTRA,
            used: 0,
        }
    }
}

impl Extra {
    fn used(&mut self) {
        self.used += 1;
        if self.used >= EXTRA_AFTER && self.used.is_multiple_of(6) {
            self.slots = (self.slots + 1).min(MOST_EXTRA);
        }
    }

    fn wasted(&mut self) {
        *self = Self { slots: 0, used: 0 };
    }
}

#[derive(Debug, Default)]
struct State {
    queue: Queue,
    held: VecDeque<Held>,
    back: [Option<Back>; 4],
    /// Whether a task serves this lane.
    running: bool,
    looked: HashMap<EpochOf, Instant>,
    unused: Vec<SlotTime>,
    extra: Extra,
    limit_seen: Option<u32>,
    limit_news: Option<u32>,
    foreign_news: Option<u32>,
    pause: Option<(Instant, PauseReason)>,
    utc_offset: Option<i64>,
    clock: Option<DatabaseClock>,
}

/// The database's clock, as a lease told it. Hosts' clocks are never compared: what passed since then
/// is measured by this process alone.
#[derive(Debug, Clone, Copy)]
struct DatabaseClock {
    told: SlotTime,
    /// When the answer was here; the clock was looked at a little earlier, so that a moment told by it
    /// is not later than the true one.
    heard: Instant,
}

impl DatabaseClock {
    fn at(self, now: Instant) -> Option<DateTime<Utc>> {
        let passed = now.saturating_duration_since(self.heard).as_micros();
        let micros = self
            .told
            .as_micros()
            .checked_add(i64::try_from(passed).ok()?)?;
        DateTime::from_timestamp_micros(micros)
    }
}

/// One bucket of one portal in this process.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    key: BudgetKey,
    upper: Option<u32>,
    usual: u32,
    state: Mutex<State>,
    wake: Notify,
}

/// What to do next.
enum Next {
    /// Ask the store, and go on meanwhile.
    Lease(Urgency, LeaseAsk, Vec<EpochOf>, Vec<SlotTime>),
    /// Nothing before this moment, unless something happens.
    Wait(Option<Instant>),
    /// Nobody waits.
    Done,
}

/// The answer of the store, and when it was asked.
struct Answer {
    urgency: Urgency,
    wanted: bool,
    connections: Vec<EpochOf>,
    sent: Instant,
    /// No error says that there was no answer in time.
    leased: Result<Leased, Option<StoreError>>,
}

impl Lane {
    pub(super) fn new(
        shared: Arc<Shared>,
        key: BudgetKey,
        upper: Option<u32>,
        usual: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            key,
            upper,
            usual,
            state: Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the account's clock is from UTC, in seconds; UTC as long as nobody knows.
    pub(super) fn utc_offset(&self) -> i64 {
        self.lock().utc_offset.unwrap_or(0)
    }

    /// Waits for a slot.
    pub(super) async fn acquire(
        self: Arc<Self>,
        connection: EpochOf,
        urgency: Urgency,
        max_wait: Duration,
    ) -> Result<Permit, BudgetRefused> {
        let since = Instant::now();
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            state.queue.push(
                urgency,
                Waiter {
                    connection,
                    since,
                    deadline: since + max_wait,
                    reply,
                },
            );
            if !state.running {
                state.running = true;
                tokio::spawn(self.clone().run());
            }
        }
        self.wake.notify_one();
        answer.await.unwrap_or(Err(BudgetRefused::Unavailable))
    }

    /// Everybody here waits. Whether that is news: requests that left together are refused together.
    pub(super) fn stand_still(&self, reason: PauseReason, pause: Duration) -> bool {
        let mut state = self.lock();
        let until = Instant::now() + pause;
        let before = state.pause.map(|(at, _)| at);
        if before.is_none_or(|at| at < until) {
            state.pause = Some((until, reason));
        }
        state.give_back(&self.shared);
        drop(state);
        self.wake.notify_one();
        before.is_none_or(|at| at + SAME_PAUSE < until)
    }

    /// Tells the other processes that lines stand still.
    pub(super) fn tell_pause(
        self: &Arc<Self>,
        buckets: &[BudgetBucket],
        reason: PauseReason,
        pause: Duration,
    ) {
        let lane = self.clone();
        let buckets = buckets.to_vec();
        let seconds = pause.as_secs();
        match reason {
            PauseReason::RateLimited => tracing::warn!(
                code = "HS-3002", portal = %lane.key.portal, bucket = %lane.key.bucket, seconds,
                "HubSpot's limit was reached by others too; every process pauses"
            ),
            PauseReason::DailyLimit => tracing::warn!(
                code = "HS-3011", portal = %lane.key.portal, seconds,
                "the account's requests of the day are used up; every process pauses"
            ),
        }
        self.shared.metrics.budget_pause(lane.key.bucket, reason);
        tokio::spawn(async move {
            lane.shared.count_statement();
            let told = lane
                .shared
                .store
                .pause_budget(&lane.key.app, lane.key.portal, &buckets, reason, pause)
                .await;
            if let Err(error) = told {
                tracing::warn!(code = error.code(), error = %error, "a pause could not be stored");
            }
        });
    }

    /// Learns from an answer that was not refused: what the limit is, and whether others use it too.
    pub(super) fn learn(&self, permit: Permit, observation: &ResponseObservation) {
        let ten_seconds = observation
            .interval
            .is_none_or(|i| i == Duration::from_secs(10));
        let (Some(limit), Some(remaining), true) =
            (observation.limit, observation.remaining, ten_seconds)
        else {
            return;
        };
        let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (limit, remaining) = (number(limit), number(remaining));
        let mut state = self.lock();
        if limit > 0 && state.limit_seen != Some(limit) {
            state.limit_news = Some(limit);
            // Slots that lie too close together.
            if limit < state.limit_seen.unwrap_or(self.usual) {
                state.give_back(&self.shared);
            }
        }
        if let Some(ours) = permit.ours_in_window {
            let foreign = foreign_use(limit, remaining, ours);
            state.foreign_news = Some(foreign);
            if foreign > 0 {
                while state.held.len() > remaining as usize {
                    let Some(held) = state.held.pop_back() else {
                        break;
                    };
                    state.unused.push(held.slot);
                }
            }
        }
    }

    async fn run(self: Arc<Self>) {
        let mut lease = None;
        loop {
            let woken = self.wake.notified();
            let next = self.lock().next(&self, Instant::now(), lease.is_some());
            let wake_at = match next {
                Next::Done => return,
                Next::Wait(at) => at,
                Next::Lease(urgency, ask, connections, unused) => {
                    let lane = self.clone();
                    lease = Some(Box::pin(lane.lease(urgency, ask, connections, unused)));
                    continue;
                }
            };
            let sleep = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let answered = async {
                match &mut lease {
                    Some(lease) => lease.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = woken => {}
                () = sleep => {}
                answer = answered => {
                    lease = None;
                    self.lock().apply(&self, answer, Instant::now());
                }
            }
        }
    }

    async fn lease(
        self: Arc<Self>,
        urgency: Urgency,
        ask: LeaseAsk,
        connections: Vec<EpochOf>,
        unused: Vec<SlotTime>,
    ) -> Answer {
        self.shared.count_statement();
        let new = NewLease {
            key: &self.key,
            connections: &connections,
            ask,
            unused: &unused,
        };
        let sent = Instant::now();
        let leased = tokio::time::timeout(LEASE_TIMEOUT, self.shared.store.lease_slots(&new))
            .await
            .map_err(|_| None)
            .and_then(|leased| leased.map_err(Some));
        Answer {
            urgency,
            wanted: ask.want > 0,
            connections,
            sent,
            leased,
        }
    }
}

impl State {
    /// Gives back all that is held.
    fn give_back(&mut self, shared: &Shared) {
        shared.count_unused(self.held.len());
        let slots = self.held.drain(..).map(|h| h.slot);
        self.unused.extend(slots);
    }

    fn expire(&mut self, shared: &Shared, now: Instant) {
        while let Some(held) = self.held.front().copied()
            && held.until < now
        {
            self.held.pop_front();
            self.unused.push(held.slot);
            self.extra.wasted();
            shared.count_unused(1);
        }
        // What is older than a window counts no more.
        let surplus = self.unused.len().saturating_sub(64);
        self.unused.drain(..surplus);
    }

    /// Lets go whoever has a slot whose time has come. Whether slots are due for which the fence was not
    /// looked at.
    fn serve(&mut self, shared: &Shared, now: Instant) -> bool {
        while self.held.front().is_some_and(|h| h.from <= now) {
            if self.queue.is_empty() {
                return false;
            }
            let looked = std::mem::take(&mut self.looked);
            let fresh = |c| {
                looked
                    .get(&c)
                    .is_some_and(|at| now.saturating_duration_since(*at) < LOOK_IS_GOOD_FOR)
            };
            let next = self.queue.pop(fresh);
            self.looked = looked;
            let Some((urgency, waiter)) = next else {
                return true;
            };
            let Some(held) = self.held.front().copied() else {
                return false;
            };
            let permit = Permit {
                ours_in_window: Some(held.ours_in_window),
                at: self.clock.and_then(|clock| clock.at(now)),
            };
            let waited = now.saturating_duration_since(waiter.since);
            // A caller that went away leaves its slot to the next.
            if waiter.reply.send(Ok(permit)).is_ok() {
                self.held.pop_front();
                self.extra.used();
                shared.count_let_go(urgency, waited);
            }
        }
        false
    }

    /// Refuses whoever would not wait as long as it takes.
    fn refuse(&mut self, now: Instant) {
        let pause = self.pause.filter(|(until, _)| *until > now);
        let mut covered = self.held.len();
        for urgency in Urgency::ALL {
            let back = self.back[urgency.index()].map_or(now, |b| b.at);
            let (until, reason) = match pause {
                Some((until, reason)) => (until.max(back), Some(reason)),
                None => (back, None),
            };
            let here = covered;
            covered = covered.saturating_sub(self.queue.len(urgency));
            self.queue.refuse(urgency, |n, waiter| {
                let late = waiter.deadline <= now;
                if !late && (n < here || waiter.deadline >= until) {
                    return None;
                }
                let rank = u32::try_from(n.saturating_sub(here)).unwrap_or(u32::MAX);
                let at_least = until.saturating_duration_since(now).max(REFUSED_APART)
                    + REFUSED_APART.saturating_mul(rank);
                Some(match reason {
                    Some(PauseReason::DailyLimit) => BudgetRefused::DailyLimit { at_least },
                    _ => BudgetRefused::WouldWait { at_least },
                })
            });
        }
    }

    fn next(&mut self, lane: &Lane, now: Instant, leasing: bool) -> Next {
        self.queue.drop_closed();
        self.expire(&lane.shared, now);
        if self.pause.is_some_and(|(until, _)| until <= now) {
            self.pause = None;
        }
        let look = self.serve(&lane.shared, now);
        self.refuse(now);
        if self.queue.is_empty() && !leasing {
            self.running = false;
            self.looked
                .retain(|_, at| now.duration_since(*at) < LOOK_IS_GOOD_FOR);
            return Next::Done;
        }
        let mut wake_at = self.queue.first_deadline();
        let mut sooner = |at: Instant| {
            wake_at = Some(wake_at.map_or(at, |w| w.min(at)));
        };
        if let Some(held) = self.held.front()
            && !self.queue.is_empty()
        {
            sooner(if held.from > now {
                held.from
            } else {
                held.until
            });
        }
        if leasing {
            return Next::Wait(wake_at);
        }
        if let Some((until, _)) = self.pause {
            sooner(until);
            return Next::Wait(wake_at);
        }
        let mut waiting = 0;
        for urgency in Urgency::ALL {
            let here = self.queue.len(urgency);
            waiting += here;
            let covered = if urgency == Urgency::Interactive {
                let theirs = |h: &&Held| h.urgency == Urgency::Interactive || h.from <= now + NEAR;
                self.held.iter().filter(theirs).count()
            } else {
                self.held.len()
            };
            let missing = waiting.saturating_sub(covered).min(here);
            if missing == 0 && !(look && here > 0) {
                continue;
            }
            let back = self.back[urgency.index()];
            if let Some(back) = back
                && back.at > now
                && !look
            {
                sooner(back.at);
                continue;
            }
            let extra = if urgency.is_low() {
                self.extra.slots
            } else {
                0
            };
            let ask = LeaseAsk {
                urgency,
                // A look at the fence takes nothing, least of all a turn.
                want: if look {
                    0
                } else {
                    u32::try_from(missing)
                        .unwrap_or(u32::MAX)
                        .saturating_add(extra)
                },
                in_turn: back.is_some_and(|b| {
                    b.is_turn && b.at <= now && now.duration_since(b.at) < TURN_IS_GOOD_FOR
                }),
                patience: i64::try_from(self.queue.patience(urgency, now).as_micros())
                    .unwrap_or(i64::MAX),
                upper: lane.upper,
                usual: lane.usual,
                limit_seen: self.limit_news.take(),
                foreign: self.foreign_news.take(),
            };
            let unused = std::mem::take(&mut self.unused);
            return Next::Lease(urgency, ask, self.queue.connections(), unused);
        }
        Next::Wait(wake_at)
    }

    fn apply(&mut self, lane: &Lane, answer: Answer, now: Instant) {
        let urgency = answer.urgency;
        let leased = match answer.leased {
            Ok(leased) => leased,
            Err(error) => {
                let code = error.as_ref().map_or("HS-5001", StoreError::code);
                tracing::warn!(code, "the budget could not be asked");
                for urgency in Urgency::ALL {
                    self.queue
                        .refuse(urgency, |_, _| Some(BudgetRefused::Unavailable));
                }
                return;
            }
        };
        for connection in &answer.connections {
            if leased.open.contains(connection) {
                // Good from before the question, not from the answer.
                self.looked.insert(*connection, answer.sent);
            } else {
                self.looked.remove(connection);
                for urgency in Urgency::ALL {
                    self.queue.refuse(urgency, |_, waiter| {
                        (waiter.connection == *connection).then_some(BudgetRefused::Fenced)
                    });
                }
            }
        }
        self.clock = Some(DatabaseClock {
            told: leased.now,
            heard: now,
        });
        self.limit_seen = leased.limit_seen;
        self.utc_offset = leased.utc_offset_seconds.or(self.utc_offset);
        let after = |slot: SlotTime| {
            let micros = slot.micros_after(leased.now).max(0).unsigned_abs();
            now + Duration::from_micros(micros)
        };
        let took = now.saturating_duration_since(answer.sent);
        let paused = self.pause.is_some_and(|(until, _)| until > now);
        if took > SLOW_LEASE || paused {
            lane.shared.count_unused(leased.grant.slots.len());
            self.unused.extend(&leased.grant.slots);
        } else {
            for slot in &leased.grant.slots {
                let from = after(*slot);
                self.held.push_back(Held {
                    slot: *slot,
                    urgency,
                    from,
                    until: from + Duration::from_micros(SLOT_GOOD_FOR.unsigned_abs()),
                    ours_in_window: in_window(&leased.recent, *slot),
                });
            }
            self.held.make_contiguous().sort_by_key(|h| h.from);
        }
        if answer.wanted {
            let reach = Duration::from_micros(urgency.reach().turn.unsigned_abs());
            self.back[urgency.index()] = match (leased.grant.come_back, leased.grant.slots.last()) {
                (Some(back), _) => Some(Back {
                    at: after(back.at) + Duration::from_millis(rand::random_range(0..=JITTER_MS)),
                    is_turn: back.is_turn,
                }),
                // All that was asked for: whatever comes next lies behind it.
                (None, Some(last)) if urgency.is_low() => after(*last)
                    .checked_sub(reach)
                    .map(|at| Back { at, is_turn: false }),
                (None, _) => None,
            };
        }
        if let Some(pause) = leased.pause {
            self.pause = Some((after(pause.until), pause.reason));
        }
    }
}

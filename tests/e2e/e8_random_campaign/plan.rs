//! What happens in a campaign, from a seed. What could end in two ways does not happen: where it matters
//! which of two things comes first, all is quiet in between.

use std::collections::{BTreeMap, BTreeSet};

use e2e::random::Random;
use model::{
    exports::Policy,
    timeline::{Happened, Kind, Op, Person, Sent, Settings, Stands, Timelines},
};

/// How much there is of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub people: usize,
    pub activities: usize,
    pub rounds: usize,
}

/// What is waited for before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Goes,
    /// Every request to export somebody has ended; activities may be on their way.
    ExportsEnd,
    /// Everything has ended.
    Quiet,
}

/// Some of it.
pub(super) struct Phase {
    pub ops: Vec<Op>,
    pub then: Then,
}

pub(super) const MEMBERS: [&str; 3] = ["m1", "m2", "m3"];
pub(super) const STATUSES: [&str; 4] = ["contacted", "replied", "interested", "queued"];
const LONG_AGO: i64 = 1_600_000_000_000;
/// 2026-01-05, and minutes of the months after it.
const BEGIN: i64 = 1_767_571_200_000;
const MINUTES: usize = 400_000;
const MINUTE: i64 = 60_000;
/// What HTML has that nobody is to see.
const HIDDEN: &str = "tracker";

/// What each status becomes in HubSpot.
pub(super) fn lead_status(status: &str) -> &'static str {
    match status {
        "contacted" => "OPEN",
        "replied" => "CONNECTED",
        "interested" => "IN_PROGRESS",
        "queued" => "NEW",
        other => panic!("{other} is no status of these"),
    }
}

/// Narrower and wider in turn.
fn policy_of(round: usize) -> Policy {
    [
        Policy::Contacted,
        Policy::Replied,
        Policy::Contacted,
        Policy::RepliedPositively,
    ][round % 4]
}

/// A campaign as it goes.
pub(super) struct Plan {
    size: Size,
    random: Random,
    now: Box<dyn FnMut() -> i64 + Send>,
    pub model: Timelines,
    /// All that has happened.
    pub done: Vec<Op>,
    phase: usize,
    counter: usize,
    people: Vec<String>,
    activities: Vec<String>,
    /// What each activity last said.
    last: BTreeMap<String, Happened>,
    /// Activities that something has happened to since it was quiet.
    touched: BTreeSet<String>,
    /// How the others stood then.
    stood: BTreeMap<String, Stands>,
    /// People who are not to be exported before it is quiet again.
    held: BTreeSet<String>,
}

impl Plan {
    pub(super) fn new(
        seed: u64,
        size: Size,
        owners: [u64; 3],
        now: impl FnMut() -> i64 + Send + 'static,
    ) -> Self {
        let owners = BTreeMap::from([("m1", owners[0]), ("m2", owners[1])]);
        Self {
            size,
            random: Random(seed),
            now: Box::new(now),
            model: Timelines::new(owners, None),
            done: Vec::new(),
            phase: 0,
            counter: 0,
            people: Vec::new(),
            activities: Vec::new(),
            last: BTreeMap::new(),
            touched: BTreeSet::new(),
            stood: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    /// What comes next. Whoever carries it out has waited for what came before.
    pub(super) fn next(&mut self, fallback: u64) -> Option<Phase> {
        let begin = self.done.len();
        let rounds = self.size.rounds;
        let parts = 2 * rounds + 2;
        let (people, activities) = (self.size.people / parts, self.size.activities / parts);
        let n = self.phase;
        self.phase += 1;
        // Before the settings are saved; the rounds; and all that is left.
        let then = match (n, n.checked_sub(1).map(|n| (n / 5, n % 5))) {
            (0, _) => {
                self.happen(self.size.people - people * (parts - 1), activities);
                Then::Quiet
            }
            (_, Some((round, step))) if round < rounds => match step {
                0 => {
                    self.save(policy_of(round), fallback, true);
                    Then::Goes
                }
                1 => {
                    self.happen(people, activities);
                    Then::ExportsEnd
                }
                2 => {
                    self.save(policy_of(round + 1), fallback, false);
                    Then::Goes
                }
                3 => {
                    self.happen(people, activities);
                    Then::Quiet
                }
                _ => {
                    self.in_hubspot();
                    Then::Goes
                }
            },
            (_, Some((_, 0))) => {
                self.save(Policy::Replied, fallback, true);
                Then::Goes
            }
            (_, Some((_, 1))) => {
                self.happen(people, activities);
                let all = self.people.iter();
                let people = all.filter(|id| !self.held.contains(*id)).cloned().collect();
                self.does(Op::Bulk {
                    people,
                    earlier: true,
                });
                Then::Quiet
            }
            _ => return None,
        };
        if then == Then::Quiet {
            self.touched.clear();
            self.held.clear();
            let all = self.model.activities.iter();
            self.stood = all.map(|(id, told)| (id.clone(), told.stands)).collect();
        }
        Some(Phase {
            ops: self.done[begin..].to_vec(),
            then,
        })
    }

    fn does(&mut self, op: Op) {
        self.model.step(&op);
        self.done.push(op);
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.random.below(n) == 0
    }

    /// Settings are saved: only the policy is another one, or everything may be.
    fn save(&mut self, policy: Policy, fallback: u64, all: bool) {
        let owners: Vec<u64> = self.model.owners.values().copied().collect();
        let known = self.model.settings.clone();
        let same = known.as_ref().filter(|known| known.policy == policy);
        let since = same.map_or_else(|| (self.now)(), |known| known.since);
        let mut settings = known.unwrap_or(Settings {
            policy,
            since,
            label: "[Artisan]",
            labels: BTreeMap::new(),
            off: BTreeSet::new(),
            archive: false,
            fallback: Some(fallback),
        });
        settings.policy = policy;
        settings.since = since;
        if all && self.phase > 2 {
            settings.label = ["[Artisan]", "[Ava]", ""][self.random.below(3)];
            let kinds = Kind::ALL;
            settings.off = kinds.into_iter().filter(|_| self.one_in(6)).collect();
            settings.labels.clear();
            for kind in kinds {
                if self.one_in(3) {
                    settings.labels.insert(kind, "<Ours>");
                }
            }
            settings.archive = !settings.archive;
            settings.fallback = match self.random.below(4) {
                0 => None,
                1 => self.random.of(&owners).copied(),
                _ => Some(fallback),
            };
        }
        self.does(Op::Save(settings));
    }

    fn happen(&mut self, people: usize, activities: usize) {
        for _ in 0..people {
            self.new_person();
        }
        let mut made = 0;
        while made < activities {
            made += usize::from(self.something());
        }
    }

    /// Whether it is a new activity.
    fn something(&mut self) -> bool {
        match self.random.below(40) {
            0..=19 => {
                let person = self.somebody();
                let happened = self.happened();
                self.new_activity(person, happened);
                return true;
            }
            20 | 21 => return self.twin(),
            22 | 23 => {
                self.reply();
                return true;
            }
            24..=29 => self.edit(),
            30 | 31 => self.delete(),
            32 => self.restore(),
            33 | 34 => self.status(),
            35 | 36 => self.fact(),
            37 => self.by_hand(),
            _ => self.again(),
        }
        false
    }

    // ---- people --------------------------------------------------------------------------------

    fn somebody(&mut self) -> String {
        self.random.of(&self.people).expect("people").clone()
    }

    fn new_person(&mut self) {
        self.counter += 1;
        let id = format!("p{}", self.counter);
        let firms = self.size.people.div_ceil(6);
        let host = match self.random.below(9) {
            0 => "gmail.com".to_owned(),
            _ => format!("camp-{}-ex.com", self.random.below(firms)),
        };
        let fact = (self.now)() + 1;
        let contacted = match self.random.below(6) {
            0 => Some(LONG_AGO),
            1 | 2 => Some(fact),
            _ => None,
        };
        let person = Person {
            email: (self.random.below(12) > 0).then(|| format!("{id}@{host}")),
            status: self.random.flip().then_some(STATUSES[0]),
            contacted,
            id: id.clone(),
            ..Person::default()
        };
        self.people.push(id);
        self.does(Op::Person(person));
    }

    fn status(&mut self) {
        let id = self.somebody();
        let mut person = self.model.people[&id].clone();
        person.status = Some(STATUSES[self.random.below(STATUSES.len())]);
        self.does(Op::Person(person));
    }

    fn fact(&mut self) {
        let id = self.somebody();
        let mut person = self.model.people[&id].clone();
        if self.held.contains(&person.id) {
            return;
        }
        let now = (self.now)() + 1;
        let place = match self.random.below(4) {
            0 => &mut person.positively,
            1 => &mut person.replied,
            _ => &mut person.contacted,
        };
        place.get_or_insert(now);
        self.does(Op::Person(person));
    }

    fn by_hand(&mut self) {
        let person = self.somebody();
        if !self.held.contains(&person) && self.model.settings.is_some() {
            self.does(Op::Export(person));
        }
    }

    /// Somebody answers: the answer is an activity, and a fact about them.
    fn reply(&mut self) {
        let id = self.somebody();
        let mut answer = self.happened_as(Kind::Email);
        answer.incoming = true;
        self.new_activity(id.clone(), answer);
        let mut person = self.model.people[&id].clone();
        if !self.held.contains(&id) {
            person.replied.get_or_insert((self.now)() + 1);
            person.status = Some(STATUSES[1]);
            self.does(Op::Person(person));
        }
    }

    // ---- activities ----------------------------------------------------------------------------

    fn text(&mut self) -> String {
        self.counter += 1;
        let n = self.counter;
        let forms = [
            "Hello {}",
            "1 < 2 & \"so\" {}",
            "שלום 👋🏽 {}",
            "One line\nand another\n\nand that's it {}",
        ];
        forms[self.random.below(forms.len())].replace("{}", &format!("x{n}"))
    }

    fn happened(&mut self) -> Happened {
        let kind = Kind::ALL[self.random.below(7)];
        self.happened_as(kind)
    }

    fn happened_as(&mut self, kind: Kind) -> Happened {
        let at = BEGIN
            + MINUTE * i64::try_from(self.random.below(MINUTES)).expect("a minute")
            + i64::try_from(self.random.below(4)).expect("a number") * 250;
        let span = [at + 1_440 * MINUTE, at + 1_470 * MINUTE];
        let text = self.text();
        let n = self.counter;
        Happened {
            kind,
            at,
            member: self.random.flip().then(|| MEMBERS[n % 3]),
            incoming: self.one_in(3),
            title: format!("Title {n}"),
            text,
            hidden: self.one_in(2).then_some(HIDDEN),
            parties: [
                format!("from{n}@parties-ex.com"),
                format!("to{n}@parties-ex.com"),
            ],
            accepted: self.one_in(4),
            recording: self.one_in(2).then(|| format!("https://r.example/{n}")),
            duration: self.one_in(2).then_some(61_000),
            answered: self.one_in(2).then_some(true),
            span,
            place: self.one_in(2).then(|| format!("Place {n}")),
            due: self.one_in(2).then_some(span[0]),
            done: false,
            urgent: self.random.flip(),
        }
    }

    fn new_activity(&mut self, person: String, happened: Happened) {
        self.counter += 1;
        let id = format!("a{}", self.counter);
        self.activities.push(id.clone());
        self.says(id, 1, person, Some(happened));
    }

    fn says(&mut self, id: String, version: u64, person: String, happened: Option<Happened>) {
        self.touched.insert(id.clone());
        if let Some(happened) = &happened {
            self.last.insert(id.clone(), happened.clone());
        }
        self.does(Op::Activity(Sent {
            id,
            version,
            person,
            happened,
        }));
    }

    fn some_activity(&mut self) -> Option<Sent> {
        let id = self.random.of(&self.activities)?;
        Some(self.model.activities[id].newest.clone())
    }

    /// The same once more, as another activity that is wanted.
    fn twin(&mut self) -> bool {
        let Some(of) = self.some_activity() else {
            return false;
        };
        let Some(happened) = of.happened else {
            return false;
        };
        self.new_activity(of.person, happened);
        true
    }

    /// Says something else, of the same parts; or the same, and only a detail is another one.
    fn changed(&mut self, id: &str) -> Happened {
        let mut happened = self.last[id].clone();
        if self.one_in(3) {
            match happened.kind {
                Kind::Email => happened.parties[1] = format!("other-{}", happened.parties[1]),
                Kind::Request => happened.accepted = true,
                Kind::Call => happened.text = self.text(),
                Kind::Meeting => happened.place = happened.place.map(|place| place + " again"),
                Kind::Task => happened.done = !happened.done,
                Kind::Message | Kind::Note => happened.at += MINUTE,
            }
            return happened;
        }
        happened.text = self.text();
        happened.title = format!("Title {}", self.counter);
        happened.accepted |= self.random.flip();
        happened.done |= self.random.flip();
        if self.one_in(4) {
            happened.at += MINUTE;
            happened.span = happened.span.map(|at| at + MINUTE);
            happened.due = happened.due.map(|due| due + MINUTE);
        }
        if self.one_in(4) {
            happened.incoming = !happened.incoming;
            happened.answered = happened.answered.map(|answered| !answered);
        }
        happened
    }

    fn edit(&mut self) {
        if let Some(of) = self.some_activity().filter(|of| of.happened.is_some()) {
            let happened = self.changed(&of.id);
            let version = of.version + 1 + self.random.below(3) as u64;
            self.says(of.id, version, of.person, Some(happened));
        }
    }

    /// What is deleted while it is on its way may have arrived or not: where that makes a difference it is
    /// not deleted.
    fn delete(&mut self) {
        let Some(of) = self.some_activity().filter(|of| of.happened.is_some()) else {
            return;
        };
        let archives = self.model.settings.as_ref().is_some_and(|s| s.archive);
        if !archives {
            if !self.model.is_exported(&of.person) {
                self.held.insert(of.person.clone());
            } else if self.touched.contains(&of.id)
                || self.stood.get(&of.id) == Some(&Stands::WaitsForThePerson)
            {
                return;
            }
        }
        self.says(of.id, of.version + 1, of.person, None);
    }

    fn restore(&mut self) {
        let all = self.model.activities.values().map(|told| &told.newest);
        let deleted = all.filter(|of| of.happened.is_none() && !self.touched.contains(&of.id));
        let deleted: Vec<Sent> = deleted.cloned().collect();
        if let Some(of) = self.random.of(&deleted).cloned() {
            let happened = self.changed(&of.id);
            self.says(of.id, of.version + 1, of.person, Some(happened));
        }
    }

    /// What was said comes once more, or something older comes late.
    fn again(&mut self) {
        let Some(mut of) = self.some_activity() else {
            return;
        };
        if of.version > 1 && self.random.flip() {
            of.version -= 1;
            let mut happened = self.last[&of.id].clone();
            happened.text = self.text();
            of.happened = Some(happened);
        }
        self.does(Op::Activity(of));
    }

    // ---- in HubSpot ----------------------------------------------------------------------------

    /// A rep takes some over, and two contacts of a company turn out to be one.
    fn in_hubspot(&mut self) {
        let owners: Vec<u64> = self.model.owners.values().copied().collect();
        for _ in 0..1 + self.activities.len() / 20 {
            let Some(of) = self.some_activity() else {
                return;
            };
            let told = &self.model.activities[&of.id];
            if told.stands == Stands::Logged && of.happened.is_some() {
                let owner = *self.random.of(&owners).expect("owners");
                self.does(Op::TakenOver {
                    activity: of.id,
                    owner,
                });
            }
        }
        let host = |of: &Self, id: &str| -> Option<String> {
            let email = of.model.people[id].email.as_ref()?;
            let (_, host) = email.split_once('@')?;
            let fits = host != "gmail.com" && of.model.is_exported(id) && !of.model.is_merged(id);
            fits.then(|| host.to_owned())
        };
        for _ in 0..self.people.len() {
            let (primary, other) = (self.somebody(), self.somebody());
            let same = host(self, &primary).is_some() && host(self, &primary) == host(self, &other);
            let told = |id: &str| self.model.status_of(id).is_some();
            if same && primary != other && (told(&primary) || !told(&other)) {
                self.does(Op::Merged { primary, other });
                return;
            }
        }
    }
}

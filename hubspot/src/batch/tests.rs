//! The plan against a HubSpot of a few lines, which knows what really became of each input.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::error::{Detail, FieldCode};

/// What a made-up HubSpot does with an input, whenever it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Does it.
    Good,
    /// Refuses it on its own.
    Bad,
    /// Does nothing, and says nothing: a merged-away id.
    Silent,
    /// Does it, and the answer leaves it out.
    Lost,
}

/// An input. Its content may be that of another one.
#[derive(Debug, Clone)]
struct Row {
    key: u8,
    content: u8,
    fate: Fate,
}

/// A result: which input it is of is known to the test only.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    of: usize,
    key: Option<u8>,
    content: Option<u8>,
    trace: Option<String>,
}

struct Rows {
    rows: Vec<Row>,
    keyed: bool,
    doing: Doing,
}

impl BatchInputs for Rows {
    type Done = Made;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        self.keyed.then(|| self.rows[place].key.to_string())
    }

    fn keys_of(&self, done: &Made) -> Vec<String> {
        done.key.iter().map(ToString::to_string).collect()
    }

    fn trace_of<'a>(&self, done: &'a Made) -> Option<&'a str> {
        done.trace.as_deref()
    }

    fn likeness(&self, place: usize, done: &Made) -> Option<usize> {
        (done.content == Some(self.rows[place].content)).then_some(1)
    }

    fn same(&self, one: usize, other: usize) -> bool {
        self.rows[one].content == self.rows[other].content
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        self.keyed && error.ids.contains(&self.rows[place].key.to_string())
    }

    fn doing(&self) -> Doing {
        self.doing
    }
}

/// How much a made-up HubSpot says in its answers.
#[derive(Debug, Clone, Copy)]
struct Says {
    traces_in_results: bool,
    keys_in_results: bool,
    traces_in_errors: bool,
    lists_errors: bool,
}

fn refusal() -> Error {
    Error::Invalid {
        status: 400,
        problems: vec![FieldProblem {
            property: Some("p".to_owned()),
            code: FieldCode::InvalidOption,
        }],
        detail: Detail::default(),
    }
}

/// A 207: each input for itself.
fn multi_status(
    rows: &Rows,
    batch: &[usize],
    says: Says,
    reversed: bool,
    done: &mut BTreeSet<usize>,
) -> Reply<Made> {
    let mut reply = Reply {
        results: Vec::new(),
        errors: Vec::new(),
        refused: 0,
    };
    for place in batch {
        let row = &rows.rows[*place];
        match row.fate {
            Fate::Good => {
                done.insert(*place);
                reply.results.push(Ok(Made {
                    of: *place,
                    key: (says.keys_in_results && rows.keyed).then_some(row.key),
                    content: Some(row.content),
                    trace: says.traces_in_results.then(|| place.to_string()),
                }));
            }
            Fate::Lost => {
                done.insert(*place);
            }
            Fate::Silent => {}
            Fate::Bad => {
                reply.refused += 1;
                if says.lists_errors {
                    reply.errors.push(ItemError {
                        error: refusal(),
                        traces: if says.traces_in_errors {
                            vec![place.to_string()]
                        } else {
                            Vec::new()
                        },
                        ids: Vec::new(),
                        to_ids: Vec::new(),
                        names: Vec::new(),
                        says_none: false,
                    });
                }
            }
        }
    }
    if reversed {
        reply.results.reverse();
        reply.errors.reverse();
    }
    reply
}

fn fate(lost: bool) -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Good),
        2 => Just(Fate::Bad),
        1 => Just(Fate::Silent),
        u32::from(lost) => Just(Fate::Lost),
    ]
}

fn rows(lost: bool) -> impl Strategy<Value = Vec<Row>> {
    let row = (any::<u8>(), 0_u8..12, fate(lost)).prop_map(|(key, content, fate)| Row {
        key: key % 40,
        content,
        fate,
    });
    prop::collection::vec(row, 0..60)
}

fn says() -> impl Strategy<Value = Says> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(traces_in_results, keys_in_results, traces_in_errors, lists_errors)| Says {
            traces_in_results,
            keys_in_results,
            traces_in_errors,
            lists_errors,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::test_cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a 207 says or leaves out: nothing is called done with another input's result (but
    /// for inputs of equal content), nothing that was done is called refused or not sent, and with
    /// trace ids everything is told exactly.
    #[test]
    fn no_outcome_is_made_up(
        rows in rows(true),
        says in says(),
        keyed in any::<bool>(),
        reversed in any::<bool>(),
        most in 1_usize..30,
    ) {
        let inputs = Rows { rows, keyed, doing: Doing::Create };
        let mut plan = Plan::new(&inputs, most);
        let mut done = BTreeSet::new();
        let mut sent = BTreeSet::new();
        while let Some(batch) = plan.next() {
            prop_assert!(!batch.is_empty() && batch.len() <= most);
            let keys: BTreeSet<_> = batch.iter().filter_map(|p| inputs.key(*p)).collect();
            if keyed {
                prop_assert_eq!(keys.len(), batch.len(), "a key twice in one request");
            }
            for place in &batch {
                prop_assert!(sent.insert(*place), "sent twice");
            }
            let reply = multi_status(&inputs, &batch, says, reversed, &mut done);
            plan.answer(&batch, Ok(reply));
        }
        let outcome = plan.finish();
        prop_assert_eq!(outcome.outcomes.len(), inputs.rows.len());
        // A result that was lost looks like a refusal that was not listed: only then may a
        // count of refusals be laid at the wrong door.
        let exact = says.traces_in_errors && says.lists_errors;
        for (place, one) in outcome.outcomes.iter().enumerate() {
            let row = &inputs.rows[place];
            match one {
                InputOutcome::Done(made) => {
                    let theirs = &inputs.rows[made.of];
                    prop_assert_eq!(theirs.content, row.content);
                    if says.traces_in_results {
                        prop_assert_eq!(made.of, place);
                    }
                }
                InputOutcome::Refused(_) if exact => {
                    prop_assert_eq!(row.fate, Fate::Bad);
                    prop_assert!(!done.contains(&place));
                }
                InputOutcome::Refused(_) => {
                    prop_assert!(row.fate != Fate::Good, "done, and called refused");
                }
                InputOutcome::OutcomeUnknown => {
                    prop_assert!(sent.contains(&place));
                    if exact && says.traces_in_results {
                        prop_assert!(matches!(row.fate, Fate::Silent | Fate::Lost));
                    }
                }
                InputOutcome::NotSent => prop_assert!(!sent.contains(&place)),
            }
        }
        // Each result goes to one input.
        let given: Vec<usize> = outcome
            .outcomes
            .iter()
            .filter_map(|o| match o {
                InputOutcome::Done(made) => Some(made.of),
                _ => None,
            })
            .collect();
        prop_assert_eq!(given.len(), given.iter().collect::<BTreeSet<_>>().len());
    }

    /// Inputs that share a key go in their order, and not after one whose outcome is unknown.
    #[test]
    fn inputs_for_one_record_keep_their_order(rows in rows(true), says in says(), most in 1_usize..30) {
        let inputs = Rows { rows, keyed: true, doing: Doing::Update };
        let mut plan = Plan::new(&inputs, most);
        let mut done = BTreeSet::new();
        let mut order: HashMap<u8, Vec<usize>> = HashMap::new();
        while let Some(batch) = plan.next() {
            for place in &batch {
                order.entry(inputs.rows[*place].key).or_default().push(*place);
            }
            let reply = multi_status(&inputs, &batch, says, false, &mut done);
            plan.answer(&batch, Ok(reply));
        }
        let outcome = plan.finish();
        for (key, places) in order {
            prop_assert!(places.is_sorted(), "{key}: {places:?}");
            let unknown = places
                .iter()
                .position(|p| outcome.outcomes[*p] == InputOutcome::OutcomeUnknown);
            if let Some(at) = unknown {
                prop_assert_eq!(at, places.len() - 1);
            }
        }
    }

    /// A HubSpot that refuses a request as a whole for one bad row: halving finds exactly the bad
    /// rows, all others are done, once, in few requests.
    #[test]
    fn halving_finds_the_bad_rows(bad in prop::collection::btree_set(0_usize..250, 0..12)) {
        let rows = (0..250)
            .map(|n| Row {
                key: 0,
                content: 0,
                fate: if bad.contains(&n) { Fate::Bad } else { Fate::Good },
            })
            .collect();
        let inputs = Rows { rows, keyed: false, doing: Doing::Create };
        let says = Says {
            traces_in_results: true,
            keys_in_results: false,
            traces_in_errors: true,
            lists_errors: true,
        };
        let mut plan = Plan::new(&inputs, 100);
        let mut done = BTreeSet::new();
        let mut requests = 0;
        while let Some(batch) = plan.next() {
            requests += 1;
            let reply = if batch.iter().any(|p| bad.contains(p)) {
                Err(refusal())
            } else {
                for place in &batch {
                    prop_assert!(!done.contains(place), "done twice");
                }
                Ok(multi_status(&inputs, &batch, says, false, &mut done))
            };
            plan.answer(&batch, reply);
        }
        let outcome = plan.finish();
        prop_assert_eq!(&outcome.stopped, &None);
        for (place, one) in outcome.outcomes.iter().enumerate() {
            match one {
                InputOutcome::Done(made) => prop_assert!(made.of == place && !bad.contains(&place)),
                InputOutcome::Refused(error) => {
                    prop_assert!(bad.contains(&place));
                    prop_assert_eq!(error, &refusal());
                }
                other => prop_assert!(false, "{place}: {other:?}"),
            }
        }
        // Two requests for each halving of a hundred, for each bad row.
        prop_assert!(requests <= 3 + bad.len() * 14, "{requests} requests for {} bad rows", bad.len());
    }

    /// A call that breaks off: what was answered stands, what was on its way is unknown if the
    /// error says so, and the rest was not sent.
    #[test]
    fn a_failure_leaves_no_doubt_about_the_rest(
        count in 1_usize..300,
        breaks_at in 0_usize..3,
        error in prop_oneof![
            Just(Error::OutcomeUnknown),
            Just(Error::Fenced),
            Just(Error::AuthRevoked),
            Just(Error::Transient { status: Some(423), retry_after: None }),
        ],
    ) {
        let rows = (0..count)
            .map(|_| Row { key: 0, content: 0, fate: Fate::Good })
            .collect();
        let inputs = Rows { rows, keyed: false, doing: Doing::Create };
        let says = Says {
            traces_in_results: true,
            keys_in_results: false,
            traces_in_errors: true,
            lists_errors: true,
        };
        let mut plan = Plan::new(&inputs, 100);
        let mut done = BTreeSet::new();
        let mut broken: Vec<usize> = Vec::new();
        let mut n = 0;
        while let Some(batch) = plan.next() {
            prop_assert!(broken.is_empty(), "sent after the failure");
            let reply = if n == breaks_at {
                broken.clone_from(&batch);
                Err(error.clone())
            } else {
                Ok(multi_status(&inputs, &batch, says, false, &mut done))
            };
            n += 1;
            plan.answer(&batch, reply);
        }
        let outcome = plan.finish();
        let unknown = error == Error::OutcomeUnknown;
        prop_assert_eq!(&outcome.unknown(), &if unknown { broken.clone() } else { Vec::new() });
        let not_sent: Vec<usize> = (0..count)
            .filter(|p| !(done.contains(p) || unknown && broken.contains(p)))
            .collect();
        prop_assert_eq!(outcome.not_sent(), not_sent);
        prop_assert_eq!(outcome.stopped, (!broken.is_empty()).then_some(error));
    }
}

#[test]
fn a_property_that_does_not_exist_refuses_its_writers_without_halving() {
    struct Writers;
    impl BatchInputs for Writers {
        type Done = ();
        fn count(&self) -> usize {
            100
        }
        fn key(&self, _place: usize) -> Option<String> {
            None
        }
        fn keys_of(&self, _done: &()) -> Vec<String> {
            Vec::new()
        }
        fn named_by(&self, _place: usize, _error: &ItemError) -> bool {
            false
        }
        fn writes(&self, place: usize, property: &str) -> bool {
            property == "nope" && place.is_multiple_of(2)
        }
        fn doing(&self) -> Doing {
            Doing::Create
        }
    }
    let mut plan = Plan::new(&Writers, 100);
    let first = plan.next().unwrap();
    let unknown_property = Error::Invalid {
        status: 400,
        problems: vec![FieldProblem {
            property: Some("nope".to_owned()),
            code: FieldCode::PropertyDoesntExist,
        }],
        detail: Detail::default(),
    };
    plan.answer(&first, Err(unknown_property.clone()));
    let second = plan.next().unwrap();
    assert_eq!(second, (1..100).step_by(2).collect::<Vec<_>>());
    plan.all_done(&second, || ());
    assert_eq!(plan.next(), None);
    let outcome = plan.finish();
    assert_eq!(outcome.outcomes[0], InputOutcome::Refused(unknown_property));
    assert_eq!(outcome.outcomes[1], InputOutcome::Done(()));
}

#[test]
fn a_refusal_that_names_no_input_is_that_of_the_only_missing_one() {
    let inputs = Rows {
        rows: (0..3)
            .map(|n| Row {
                key: n,
                content: n,
                fate: Fate::Good,
            })
            .collect(),
        keyed: true,
        doing: Doing::Update,
    };
    let mut plan = Plan::new(&inputs, 100);
    let batch = plan.next().unwrap();
    let made = |of: usize| {
        Ok(Made {
            of,
            key: u8::try_from(of).ok(),
            content: None,
            trace: None,
        })
    };
    plan.answer(
        &batch,
        Ok(Reply {
            results: vec![made(2), made(0)],
            errors: vec![ItemError {
                error: refusal(),
                traces: Vec::new(),
                ids: Vec::new(),
                to_ids: Vec::new(),
                names: Vec::new(),
                says_none: false,
            }],
            refused: 1,
        }),
    );
    let outcome = plan.finish();
    assert_eq!(outcome.outcomes[1], InputOutcome::Refused(refusal()));
    assert!(matches!(&outcome.outcomes[2], InputOutcome::Done(m) if m.of == 2));
}

/// Without a word from HubSpot about which is which, the values tell: the input that says more goes
/// first, and two that say the same are as good as each other.
#[test]
fn results_without_names_go_to_the_inputs_that_they_show() {
    struct Said(Vec<Vec<(&'static str, u8)>>);
    impl BatchInputs for Said {
        type Done = (usize, Vec<(&'static str, u8)>);
        fn count(&self) -> usize {
            self.0.len()
        }
        fn key(&self, _place: usize) -> Option<String> {
            None
        }
        fn keys_of(&self, _done: &Self::Done) -> Vec<String> {
            Vec::new()
        }
        fn likeness(&self, place: usize, done: &Self::Done) -> Option<usize> {
            let mut shown = 0;
            for (name, value) in &self.0[place] {
                match done.1.iter().find(|(n, _)| n == name) {
                    Some((_, v)) if v != value => return None,
                    Some(_) => shown += 1,
                    None => {}
                }
            }
            (shown > 0).then_some(shown)
        }
        fn same(&self, one: usize, other: usize) -> bool {
            self.0[one] == self.0[other]
        }
        fn named_by(&self, _place: usize, _error: &ItemError) -> bool {
            false
        }
        fn doing(&self) -> Doing {
            Doing::Create
        }
    }
    let said = vec![
        vec![("body", 1), ("key", 6)],
        vec![("body", 1)],
        vec![("body", 2)],
        vec![("body", 2)],
        vec![("body", 3), ("unseen", 1)],
        vec![("body", 3), ("unseen", 2)],
    ];
    let inputs = Said(said.clone());
    let reply = |places: &[usize]| Reply {
        results: places
            .iter()
            .map(|place| {
                let mut shown = said[*place].clone();
                shown.retain(|(name, _)| *name != "unseen");
                Ok((*place, shown))
            })
            .collect(),
        errors: Vec::new(),
        refused: 0,
    };
    let mut plan = Plan::new(&inputs, 100);
    let batch = plan.next().unwrap();
    plan.answer(&batch, Ok(reply(&[5, 3, 1, 0, 2, 4])));
    let outcome = plan.finish();
    let of = |place: usize| match &outcome.outcomes[place] {
        InputOutcome::Done((of, _)) => Some(*of),
        _ => None,
    };
    assert_eq!((of(0), of(1)), (Some(0), Some(1)));
    assert_eq!(
        BTreeSet::from([of(2), of(3)]),
        BTreeSet::from([Some(2), Some(3)])
    );
    // These differ in what the answer does not show.
    assert_eq!(outcome.unknown(), [4, 5]);
    // One result for two that it shows as well: nobody knows.
    let mut plan = Plan::new(&inputs, 100);
    let batch = plan.next().unwrap();
    plan.answer(&batch, Ok(reply(&[2])));
    assert_eq!(plan.finish().unknown().len(), 6);
}

//! Whether people may be contacted, and why not, in plain words (I8).

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    pin::pin,
};

use domain::{
    WorkspaceId,
    api::{DncCheck, DncCheckAnswer, DncItem, MAX_CHECKED},
    app::PersonId,
    dnc::{DncReason, DncRule, RecordRef, Stale, StaleCause},
};
use futures::TryStreamExt as _;
use serde::Serialize;

use super::{
    args::{DncOf, Service},
    failure::Failure,
    output::{clean, count},
    show::{print, print_json_line, tell},
};

/// Somebody who is asked about, and what they are called here: never by their address.
struct Whom {
    name: String,
    asked: Whose,
}

enum Whose {
    Person(PersonId),
    Email(String),
}

/// A line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    whom: &'a str,
    allowed: bool,
    reasons: &'a [DncReason],
    stale: bool,
}

/// What came of all calls.
#[derive(Default)]
struct Told {
    allowed: u64,
    not_allowed: u64,
    stale: Vec<Stale>,
}

/// Asks about whom was named, ten thousand in a call, and tells each verdict as it comes.
pub(crate) async fn check(
    service: &Service,
    workspace: WorkspaceId,
    of: DncOf,
    json: bool,
) -> Result<(), Failure> {
    let mut told = Told::default();
    match of {
        DncOf::Named { people, emails } => {
            let people = people.into_iter().map(|person| Whom {
                name: person.to_string(),
                asked: Whose::Person(person),
            });
            let emails = (1..).zip(emails).map(|(n, email): (u64, String)| Whom {
                name: format!("email {n}"),
                asked: Whose::Email(email),
            });
            let all: Vec<Whom> = people.chain(emails).collect();
            for some in all.chunks(MAX_CHECKED) {
                ask(service, workspace, some, json, &mut told).await?;
            }
        }
        DncOf::File(file) => {
            let file = File::open(file).map_err(Failure::Input)?;
            let mut some = Vec::new();
            for (n, line) in (1_u64..).zip(BufReader::new(file).lines()) {
                let line = line.map_err(Failure::Input)?;
                let text = line.trim().trim_start_matches('\u{feff}');
                if text.is_empty() {
                    continue;
                }
                some.push(match text.parse() {
                    Ok(person) => Whom {
                        name: text.to_owned(),
                        asked: Whose::Person(person),
                    },
                    // Not an id of the app: an address, or what the service takes for nobody.
                    Err(_) => Whom {
                        name: format!("line {n}"),
                        asked: Whose::Email(text.to_owned()),
                    },
                });
                if some.len() == MAX_CHECKED {
                    ask(service, workspace, &some, json, &mut told).await?;
                    some.clear();
                }
            }
            ask(service, workspace, &some, json, &mut told).await?;
        }
        DncOf::List(list) => {
            let mut strangers = 0_u64;
            let mut some = Vec::new();
            let mut members = pin!(service.client.all_members_of(workspace, list));
            while let Some(member) = members
                .try_next()
                .await
                .map_err(|error| Failure::of(service, error))?
            {
                if member.people.is_empty() {
                    strangers += 1;
                }
                for person in member.people {
                    some.push(Whom {
                        name: person.to_string(),
                        asked: Whose::Person(person),
                    });
                    if some.len() == MAX_CHECKED {
                        ask(service, workspace, &some, json, &mut told).await?;
                        some.clear();
                    }
                }
            }
            ask(service, workspace, &some, json, &mut told).await?;
            if strangers > 0 {
                tell(&format!(
                    "{} members of the list are nobody of the app's people",
                    count(strangers)
                ))?;
            }
        }
    }
    tell(&format!(
        "{} may be contacted, {} not",
        count(told.allowed),
        count(told.not_allowed)
    ))?;
    for stale in &told.stale {
        tell(&stale_words(stale))?;
    }
    if !told.stale.is_empty() {
        tell(
            "as long as that is so the last verdict stands, and who has none is not to be contacted",
        )?;
    }
    Ok(())
}

async fn ask(
    service: &Service,
    workspace: WorkspaceId,
    some: &[Whom],
    json: bool,
    told: &mut Told,
) -> Result<(), Failure> {
    if some.is_empty() {
        return Ok(());
    }
    let mut check = DncCheck::default();
    for whom in some {
        match &whom.asked {
            Whose::Person(person) => check.people.push(person.clone()),
            Whose::Email(email) => check.emails.push(email.clone()),
        }
    }
    let answer: DncCheckAnswer = service
        .client
        .check_verdicts(workspace, &check)
        .await
        .map_err(|error| Failure::of(service, error))?;
    let is_stale = !answer.stale.is_empty();
    let (mut people, mut emails) = (answer.people.into_iter(), answer.emails.into_iter());
    for whom in some {
        let item = match whom.asked {
            Whose::Person(_) => people.next(),
            Whose::Email(_) => emails.next(),
        };
        let item = item.ok_or_else(|| {
            Failure::NotDone("the service answered for fewer than were asked about".to_owned())
        })?;
        let counted = if item.allowed {
            &mut told.allowed
        } else {
            &mut told.not_allowed
        };
        *counted += 1;
        if json {
            print_json_line(&Line {
                whom: &whom.name,
                allowed: item.allowed,
                reasons: &item.reasons,
                stale: is_stale,
            })?;
        } else {
            print(&verdict_words(&whom.name, &item))?;
        }
    }
    told.stale = answer.stale;
    Ok(())
}

fn verdict_words(name: &str, item: &DncItem) -> String {
    let name = clean(name);
    if item.allowed {
        return format!("{name}\tyes");
    }
    let reasons: Vec<String> = item.reasons.iter().map(reason_words).collect();
    format!("{name}\tno\t{}", reasons.join("; "))
}

/// A reason as a person says it, with the record that it comes from.
fn reason_words(reason: &DncReason) -> String {
    let mut words = match reason.rule {
        DncRule::SuppressionList => "on suppression",
        DncRule::OpenDeal => "open",
        DncRule::Customer => "customer by",
        DncRule::LostDeal => "lost not long ago:",
        DncRule::OptedOut => "opted out of e-mail:",
        DncRule::InHubspot => "already in HubSpot as",
        DncRule::UnmappedOwner => "owned by somebody outside of the team:",
        DncRule::RecentTouch => "a rep was in touch:",
        DncRule::Erased => "erased, and stays out",
        DncRule::NotKnown => "not known: no person of this id, or no e-mail address",
        DncRule::Unknown => "not known yet: not all that the rules need was read",
    }
    .to_owned();
    if let Some(record) = reason.record {
        words.push_str(&format!(" {}", record_words(record)));
    }
    if let Some(value) = &reason.value {
        let value = clean(value);
        let what = match reason.rule {
            DncRule::OpenDeal => format!("stage {value}"),
            DncRule::UnmappedOwner => format!("owner {value}"),
            DncRule::SuppressionList => "which HubSpot has no more".to_owned(),
            _ => value,
        };
        words.push_str(&format!(" ({what})"));
    }
    if let Some(through) = reason.through {
        words.push_str(&format!(", through {}", record_words(through)));
    }
    words
}

fn record_words(record: RecordRef) -> String {
    match record {
        RecordRef::Contact(id) => format!("contact {id}"),
        RecordRef::Company(id) => format!("company {id}"),
        RecordRef::Deal(id) => format!("deal {id}"),
        RecordRef::List(id) => format!("list {id}"),
    }
}

fn stale_words(stale: &Stale) -> String {
    let why = match stale.cause {
        StaleCause::NeverRead => "was never read to its end",
        StaleCause::Incomplete => "was not answered as a whole by HubSpot",
        StaleCause::Skipped => "is left out, as a scope was not granted",
        StaleCause::Refused => "is refused by HubSpot, or a part of it",
        StaleCause::Processing => "is still being computed by HubSpot",
        StaleCause::NotConnected => "is not read, as the workspace is not connected",
    };
    match stale.list {
        Some(list) => format!("not up to date: list {list} {why}"),
        None => format!("not up to date: {} {why}", stale.object_type),
    }
}

#[cfg(test)]
mod tests {
    use domain::{HubSpotObjectId, SyncType, portal::ListId};

    use super::*;

    #[test]
    fn reasons_are_told_with_their_records() {
        let id = |n| HubSpotObjectId::new(n).unwrap();
        let item = DncItem {
            index: 0,
            allowed: false,
            reasons: vec![
                DncReason {
                    rule: DncRule::OpenDeal,
                    record: Some(RecordRef::Deal(id(12))),
                    through: Some(RecordRef::Company(id(7))),
                    value: Some("new\u{7}".to_owned()),
                },
                DncReason {
                    rule: DncRule::SuppressionList,
                    record: Some(RecordRef::List(ListId::new(3))),
                    through: None,
                    value: Some("gone".to_owned()),
                },
            ],
        };
        assert_eq!(
            verdict_words("lead_1", &item),
            "lead_1\tno\topen deal 12 (stage new ), through company 7; \
             on suppression list 3 (which HubSpot has no more)"
        );
        for rule in DncRule::ALL {
            assert!(!reason_words(&DncReason::bare(rule)).is_empty());
        }
        let stale = Stale {
            object_type: SyncType::Deals,
            cause: StaleCause::Incomplete,
            list: None,
        };
        assert!(stale_words(&stale).starts_with("not up to date: deals was not answered"));
    }
}

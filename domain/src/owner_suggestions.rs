//! Who might stand for an owner whose e-mail no team member has (E6). Only suggested: somebody says yes.
//!
//! Of an owner and a member are compared, in this order, their names, what stands before the `@`, the
//! name of one with the address of the other, and names that share a word and are nearly the same. The
//! first that brings exactly one member decides; where it brings several nobody is suggested.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    HubSpotOwnerId,
    app::{Member, MemberId},
};

/// How alike names have to be (Jaro and Winkler): Jon and John are, Ann and Dan are not.
const ALIKE: f64 = 0.9;

/// An owner as people know one.
#[derive(Debug, Clone, Copy)]
pub struct NamedOwner<'a> {
    /// Which one.
    pub id: HubSpotOwnerId,
    /// First and last name, as far as HubSpot has them.
    pub name: &'a str,
    /// The address, as far as HubSpot has it.
    pub email: Option<&'a str>,
}

/// Why somebody is suggested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// The same words, in whatever order.
    SameName,
    /// The same before the `@`.
    SameAddress,
    /// The address of one is made of the name of the other.
    NameInAddress,
    /// Nearly the same name.
    SimilarName,
}

impl Likeness {
    const STRONGEST_FIRST: [Self; 4] = [
        Self::SameName,
        Self::SameAddress,
        Self::NameInAddress,
        Self::SimilarName,
    ];
}

/// Who is suggested, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The member.
    pub member: MemberId,
    /// What both have in common.
    pub likeness: Likeness,
}

/// What is compared of somebody.
struct Known {
    /// The words of the name, sorted.
    words: Vec<String>,
    /// The name as it is read.
    name: String,
    /// What addresses are made of this name.
    addresses: BTreeSet<String>,
    /// The address before the `@`, letters and digits only.
    local: Option<String>,
}

impl Known {
    fn of(name: &str, email: Option<&str>) -> Self {
        let lower = name.to_lowercase();
        // What stands in brackets is no part of a name: "Ann Lee (old)".
        let bare = lower.split('(').next().unwrap_or_default();
        let in_order: Vec<&str> = bare
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let mut words: Vec<String> = in_order.iter().map(|w| (*w).to_owned()).collect();
        words.sort();
        let local = email.and_then(|e| e.split_once('@')).map(|(local, _)| {
            let local = local.split('+').next().unwrap_or_default();
            let kept = local.chars().filter(|c| c.is_alphanumeric());
            kept.flat_map(char::to_lowercase).collect::<String>()
        });
        Self {
            addresses: addresses_of(&in_order),
            name: in_order.join(" "),
            words,
            local: local.filter(|local| !local.is_empty()),
        }
    }
}

/// `annlee`, `leeann`, `alee`, `annl`: what people are given as an address.
fn addresses_of(words: &[&str]) -> BTreeSet<String> {
    let [first, .., last] = words else {
        return BTreeSet::new();
    };
    let initial = |word: &str| word.chars().take(1).collect::<String>();
    BTreeSet::from([
        format!("{first}{last}"),
        format!("{last}{first}"),
        format!("{}{last}", initial(first)),
        format!("{first}{}", initial(last)),
    ])
}

/// Members by something that they are found by.
#[derive(Default)]
struct Found<'a>(BTreeMap<String, BTreeSet<&'a MemberId>>);

impl<'a> Found<'a> {
    fn put(&mut self, key: &str, member: &'a MemberId) {
        self.0.entry(key.to_owned()).or_default().insert(member);
    }

    fn at(&self, key: &str) -> impl Iterator<Item = &'a MemberId> {
        self.0.get(key).into_iter().flatten().copied()
    }
}

/// The members who work in the app, each looked up instead of compared with every owner.
#[derive(Default)]
struct Team<'a> {
    known: BTreeMap<&'a MemberId, Known>,
    by_name: Found<'a>,
    by_local: Found<'a>,
    by_address: Found<'a>,
    by_word: Found<'a>,
}

impl<'a> Team<'a> {
    fn of(members: &'a [Member]) -> Self {
        let mut team = Self::default();
        for member in members.iter().filter(|m| m.is_active()) {
            let (id, email) = (&member.id, member.email.as_ref());
            let name = member.name.as_deref().unwrap_or_default();
            let known = Known::of(name, email.map(|e| e.as_str()));
            team.by_name.put(&known.words.join(" "), id);
            if let Some(local) = &known.local {
                team.by_local.put(local, id);
            }
            for address in &known.addresses {
                team.by_address.put(address, id);
            }
            for word in &known.words {
                team.by_word.put(word, id);
            }
            team.known.insert(id, known);
        }
        team
    }

    /// Those who have this in common with an owner.
    fn like(&self, of: &Known, likeness: Likeness) -> BTreeSet<&'a MemberId> {
        // One word alone, such as "Sales", is nobody's name.
        let named = |known: &Known| known.words.len() > 1;
        let local = of.local.as_deref();
        match likeness {
            Likeness::SameName if named(of) => self.by_name.at(&of.words.join(" ")).collect(),
            Likeness::SameAddress => local
                .into_iter()
                .flat_map(|l| self.by_local.at(l))
                .collect(),
            Likeness::NameInAddress => {
                let theirs = local.into_iter().flat_map(|l| self.by_address.at(l));
                let own = of.addresses.iter().flat_map(|a| self.by_local.at(a));
                theirs.chain(own).collect()
            }
            Likeness::SimilarName if named(of) => {
                let near = of.words.iter().flat_map(|word| self.by_word.at(word));
                let alike = |known: &Known| {
                    named(known) && strsim::jaro_winkler(&known.name, &of.name) >= ALIKE
                };
                near.filter(|id| self.known.get(id).is_some_and(alike))
                    .collect()
            }
            Likeness::SameName | Likeness::SimilarName => BTreeSet::new(),
        }
    }
}

/// Suggests a member for each of these owners, as far as there is one. Members who do not work in the
/// app any more are nobody's.
pub fn suggest(
    owners: &[NamedOwner<'_>],
    members: &[Member],
) -> BTreeMap<HubSpotOwnerId, Suggestion> {
    let team = Team::of(members);
    let one = |owner: &NamedOwner<'_>| {
        let of = Known::of(owner.name, owner.email);
        let looks = Likeness::STRONGEST_FIRST.into_iter();
        let mut looks = looks.map(|likeness| (likeness, team.like(&of, likeness)));
        let (likeness, found) = looks.find(|(_, found)| !found.is_empty())?;
        let member = found.first().filter(|_| found.len() == 1)?;
        let member = (*member).clone();
        Some((owner.id, Suggestion { member, likeness }))
    };
    owners.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Email, RecordVersion};

    fn member(id: &str, name: Option<&str>, email: Option<&str>) -> Member {
        Member {
            id: id.parse().unwrap(),
            version: RecordVersion::MIN,
            email: email.map(|e| Email::parse(e).unwrap()),
            name: name.map(str::to_owned),
            active: None,
            slots: Default::default(),
        }
    }

    fn suggested(name: &str, email: Option<&str>, team: &[Member]) -> Option<(String, Likeness)> {
        let id = HubSpotOwnerId::new(1).unwrap();
        let found = suggest(&[NamedOwner { id, name, email }], team);
        let found = found.get(&id)?;
        Some((found.member.to_string(), found.likeness))
    }

    #[test]
    fn who_is_alike_is_suggested_by_the_strongest_likeness() {
        use Likeness::{NameInAddress, SameAddress, SameName, SimilarName};
        let mut left = member("left", Some("Eve Stone"), Some("eve@a.example"));
        left.active = Some(false);
        let team = [
            member("ann", Some("Ann Lee"), Some("ann@a.example")),
            member("john", Some("John Smith"), Some("js@a.example")),
            member("dana", Some("Dana Okoye"), Some("dana@a.example")),
            member("kim", None, Some("kim.vo@a.example")),
            member("sales", Some("Sales"), None),
            member("zoe", Some("Zoë Müller"), None),
            left,
        ];
        for (name, email, want) in [
            ("Ann Lee", Some("a.lee@b.example"), Some(("ann", SameName))),
            ("LEE, Ann", None, Some(("ann", SameName))),
            ("Ann Lee (old)", None, Some(("ann", SameName))),
            ("ZOË MÜLLER", None, Some(("zoe", SameName))),
            ("", Some("Dana@b.example"), Some(("dana", SameAddress))),
            (
                "A. L.",
                Some("kimvo+x@b.example"),
                Some(("kim", SameAddress)),
            ),
            ("", Some("d.okoye@b.example"), Some(("dana", NameInAddress))),
            (
                "",
                Some("okoye_dana@b.example"),
                Some(("dana", NameInAddress)),
            ),
            ("Kim Vo", None, Some(("kim", NameInAddress))),
            ("Jon Smith", None, Some(("john", SimilarName))),
            // A word in common is no likeness, nor is one word alone.
            ("Peter Smith", None, None),
            ("Sales", Some("inbox@b.example"), None),
            ("Dan Lea", None, None),
            ("", None, None),
            ("", Some("@b.example"), None),
            ("Eve Stone", Some("eve@b.example"), None),
        ] {
            let want = want.map(|(id, likeness)| (id.to_owned(), likeness));
            assert_eq!(suggested(name, email, &team), want, "{name} {email:?}");
        }
    }

    #[test]
    fn of_several_nobody_is_suggested() {
        let team = [
            member("one", Some("Ann Lee"), Some("ann.lee@a.example")),
            member("two", Some("Ann Lee"), Some("ann@a.example")),
        ];
        assert_eq!(suggested("Ann Lee", None, &team), None);
        // Names that are the same are not told apart by less.
        let email = Some("ann@b.example");
        assert_eq!(suggested("Ann Lee", email, &team), None);
        assert_eq!(
            suggested("", email, &team),
            Some(("two".to_owned(), Likeness::SameAddress))
        );
    }

    #[test]
    fn a_large_team_is_looked_through_at_once() {
        let team: Vec<Member> = (0..5_000)
            .map(|n| member(&format!("m{n}"), Some(&format!("First{n} Last{n}")), None))
            .collect();
        let names: Vec<String> = (0..5_000).map(|n| format!("First{n} Lasd{n}")).collect();
        let owners: Vec<NamedOwner<'_>> = (1..)
            .zip(&names)
            .map(|(id, name)| NamedOwner {
                id: HubSpotOwnerId::new(id).unwrap(),
                name,
                email: None,
            })
            .collect();
        let began = std::time::Instant::now();
        assert_eq!(suggest(&owners, &team).len(), 5_000);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}

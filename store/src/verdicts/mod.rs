//! Verdicts on people (I8): judged from what is stored, at once for whoever asks, and kept per person
//! for whoever follows changes.

mod affected;
mod basis;
mod companies;
mod counts;
mod facts;
mod names;
mod projection;
mod refused;

use std::collections::BTreeMap;

use domain::{
    PortalId, WorkspaceId,
    app::PersonId,
    dnc::{DncRule, Findings, Judge, Verdict},
};

pub(crate) use affected::judge_again;
pub use basis::DncBasis;
pub use counts::{StoppedPeople, StoppedPerson, StoppedPlace};
use facts::Subject;
pub use projection::{VerdictPass, VerdictStep};

use crate::{Store, StoreError, erasure::Identity, keys::email_key};

/// Whom somebody asks about.
#[derive(Clone, PartialEq, Eq)]
pub enum Asked {
    /// A person of the app.
    Person(PersonId),
    /// Whoever has this address.
    Email(String),
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(person) => f.debug_tuple("Person").field(person).finish(),
            Self::Email(_) => f.write_str("Email"),
        }
    }
}

/// What was found on companies that many people are at. Bounded: beyond so many it begins anew.
#[derive(Debug, Default)]
pub(crate) struct Companies(BTreeMap<i64, Findings>);

/// Companies whose findings are kept while many people are judged: some hundred bytes each.
const COMPANIES_KEPT: usize = 100_000;

impl Store {
    /// The verdicts on people of the app and on addresses, in the order asked, from what is stored now.
    ///
    /// # Errors
    /// When the database fails, or holds settings that cannot be read. Whoever cannot be judged is not
    /// to be contacted.
    pub async fn check_dnc(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        asked: &[Asked],
    ) -> Result<Vec<Verdict>, StoreError> {
        let people: Vec<&str> = asked
            .iter()
            .filter_map(|a| match a {
                Asked::Person(person) => Some(person.as_str()),
                Asked::Email(_) => None,
            })
            .collect();
        let known = self.emails_of(workspace, &people).await?;
        let subjects: Vec<Option<Subject>> = asked
            .iter()
            .map(|a| match a {
                Asked::Person(person) => known
                    .get(person.as_str())
                    .map(|email| Subject::of_person(person.as_str(), email.as_deref())),
                Asked::Email(email) => {
                    email_key(email).map(|email| Subject::of_email(Some(&email)))
                }
            })
            .collect();
        let last = if basis.stale.is_empty() {
            BTreeMap::new()
        } else {
            self.last_verdicts(workspace, basis.portal, &people).await?
        };
        let erased = self.erased_emails(workspace, asked, &subjects).await?;
        let to_judge: Vec<Subject> = subjects.iter().flatten().cloned().collect();
        let lasts: Vec<Option<&Verdict>> = asked
            .iter()
            .zip(&subjects)
            .filter(|(_, subject)| subject.is_some())
            .map(|(a, _)| match a {
                Asked::Person(person) => last.get(person.as_str()),
                Asked::Email(_) => None,
            })
            .collect();
        let mut companies = Companies::default();
        let mut judged = self
            .judge(workspace, basis, &to_judge, &lasts, &mut companies)
            .await?
            .into_iter();
        Ok(subjects
            .iter()
            .zip(erased)
            .map(|(subject, erased)| match subject {
                None => Verdict::no(DncRule::NotKnown),
                Some(_) => {
                    let verdict = judged.next();
                    match verdict {
                        Some(verdict) if !erased => verdict,
                        _ => Verdict::no(DncRule::Erased),
                    }
                }
            })
            .collect())
    }

    /// Which of the addresses asked about are of erased people.
    async fn erased_emails(
        &self,
        workspace: WorkspaceId,
        asked: &[Asked],
        subjects: &[Option<Subject>],
    ) -> Result<Vec<bool>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        if !crate::erasure::anybody_erased(&mut connection, workspace).await? {
            return Ok(vec![false; asked.len()]);
        }
        let hashes: Vec<Option<Vec<u8>>> = asked
            .iter()
            .zip(subjects)
            .map(|(asked, subject)| match (asked, subject) {
                (Asked::Email(_), Some(subject)) => subject
                    .email()
                    .map(|email| self.identities.hash(workspace, &Identity::Email(email))),
                // Of the app's people nobody is erased.
                _ => None,
            })
            .collect();
        let all: Vec<Vec<u8>> = hashes.iter().flatten().cloned().collect();
        let erased = crate::erasure::erased_among(&mut connection, workspace, &all).await?;
        Ok(hashes
            .into_iter()
            .map(|hash| hash.is_some_and(|hash| erased.contains(&hash)))
            .collect())
    }

    async fn emails_of(
        &self,
        workspace: WorkspaceId,
        people: &[&str],
    ) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        if people.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = sqlx::query!(
            "select person_id, email from app_person where workspace_id = $1 and person_id = any($2)",
            workspace.as_uuid(),
            people as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.person_id, row.email))
            .collect())
    }

    async fn last_verdicts(
        &self,
        workspace: WorkspaceId,
        portal: PortalId,
        people: &[&str],
    ) -> Result<BTreeMap<String, Verdict>, StoreError> {
        let rows = sqlx::query!(
            "select person_id, allowed, reasons::text as \"reasons!\", stale from dnc_verdict
             where workspace_id = $1 and portal_id = $2 and person_id = any($3)",
            workspace.as_uuid(),
            portal.get(),
            people as &[&str]
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let verdict = Verdict {
                    allowed: row.allowed,
                    reasons: serde_json::from_str(&row.reasons)
                        .map_err(|_| StoreError::Corrupt("verdict"))?,
                    stale: row.stale,
                };
                Ok((row.person_id, verdict))
            })
            .collect()
    }

    /// Judges subjects, in their order. `last` holds the last verdict on each, where there is one.
    pub(crate) async fn judge(
        &self,
        workspace: WorkspaceId,
        basis: &DncBasis,
        subjects: &[Subject],
        last: &[Option<&Verdict>],
        companies: &mut Companies,
    ) -> Result<Vec<Verdict>, StoreError> {
        let gathered = self.gather_people(workspace, basis, subjects).await?;
        if companies.0.len() > COMPANIES_KEPT {
            companies.0.clear();
        }
        let unknown: Vec<i64> = gathered
            .companies()
            .into_iter()
            .filter(|id| !companies.0.contains_key(id))
            .collect();
        let facts = self.gather_companies(workspace, basis, &unknown).await?;
        let owners = basis.owner_map();
        let judge = Judge {
            rules: &basis.settings.dnc,
            pipelines: basis.pipelines.as_deref(),
            owners: &owners,
            calendar: basis.calendar,
        };
        // What lies in the recycle bin has no findings.
        companies
            .0
            .extend(unknown.into_iter().map(|id| (id, Findings::default())));
        companies
            .0
            .extend(facts.iter().map(|c| (c.id.get(), judge.company(c))));
        let refused = self
            .refused_among(workspace, basis.portal, subjects)
            .await?;
        let own = gathered.contacts_of.iter().zip(&gathered.companies_of);
        Ok(own
            .enumerate()
            .map(|(n, (contacts, at))| {
                let contacts: Vec<_> = contacts
                    .iter()
                    .filter_map(|id| gathered.contacts.get(id))
                    .collect();
                let at: Vec<_> = at.iter().filter_map(|id| companies.0.get(id)).collect();
                let mut judgement = judge.person(&contacts, &at);
                // Whoever is a contact again was let in by HubSpot after all.
                if contacts.is_empty() && refused.get(n).is_some_and(|refused| *refused) {
                    judgement.erased();
                }
                Verdict::of(
                    judgement,
                    &basis.stale,
                    &basis.settings.dnc,
                    last.get(n).copied().flatten(),
                )
            })
            .collect())
    }
}

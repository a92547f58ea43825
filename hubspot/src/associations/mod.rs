//! Associations between records.

mod read;

pub use read::{AssociationsRead, SINGLE_READS};
use reqwest::Method;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{BatchInputs, BatchOutcome, Doing, Plan},
    budget::Bucket,
    client::{API_VERSION, Call, Client, Kind},
    error::{Error, ItemError},
    ids::{ObjectType, RecordId},
    objects::{Inputs, reply_of, write},
    page::{Page, page_of},
};

/// Most inputs of a batch read.
pub const BATCH: usize = 1_000;
/// Most inputs of a batch that writes.
pub const WRITE_BATCH: usize = 2_000;
/// Most records that a batch takes associations from (`hubspot-api.md` §15.18).
pub const ARCHIVE_FROM: usize = 100;
/// Most associations of a page when those of one record are listed.
pub const PAGE: u32 = 500;

/// An association from a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// To this record.
    pub to: RecordId,
    /// Type ids with their categories.
    pub types: Vec<AssociationType>,
}

/// Who defined an association type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AssociationCategory {
    /// HubSpot; the same in all portals.
    #[serde(rename = "HUBSPOT_DEFINED")]
    HubSpot,
    /// The customer: labels.
    #[serde(rename = "USER_DEFINED")]
    User,
    /// An integration.
    #[serde(rename = "INTEGRATOR_DEFINED")]
    Integrator,
    /// Another one.
    #[serde(other, rename = "OTHER")]
    Other,
}

/// The type of an association.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociationType {
    /// Who defined it.
    pub category: AssociationCategory,
    /// The id, such as 279 for contact to company and 1 for the primary one.
    pub type_id: u32,
    /// The name that the customer gave it.
    #[serde(default)]
    pub label: Option<String>,
}

impl AssociationType {
    /// The name that inline associations give this type, such as `contact_to_company` for the
    /// primary company and `contact_to_company_unlabeled` for any (`hubspot-api.md` §8).
    pub fn inline_name(&self, from: ObjectType, to: ObjectType) -> String {
        let pair = format!("{}_to_{}", from.singular(), to.singular());
        match (self.category, self.type_id) {
            (AssociationCategory::HubSpot, 1..=6) => pair,
            (AssociationCategory::HubSpot, 279 | 280 | 341 | 342) => format!("{pair}_unlabeled"),
            // Engagements have one type each way.
            (AssociationCategory::HubSpot, id)
                if AssociationSpec::unlabeled(from, to).is_some_and(|spec| spec.type_id == id) =>
            {
                pair
            }
            (_, id) => self.label.clone().unwrap_or_else(|| format!("{pair}_{id}")),
        }
    }

    /// Whether it marks the primary company (or the reverse).
    pub const fn is_primary(&self) -> bool {
        matches!(
            (self.category, self.type_id),
            (AssociationCategory::HubSpot, 1 | 2 | 5 | 6)
        )
    }
}

/// A type to associate by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct AssociationSpec {
    /// Who defined it.
    #[serde(rename = "associationCategory")]
    pub category: AssociationCategory,
    /// The id.
    #[serde(rename = "associationTypeId")]
    pub type_id: u32,
}

impl AssociationSpec {
    /// One of HubSpot's types.
    pub const fn hubspot(type_id: u32) -> Self {
        Self {
            category: AssociationCategory::HubSpot,
            type_id,
        }
    }

    /// A label of the customer's; its id is the portal's own ([`Associations::labels`]).
    pub const fn label(type_id: u32) -> Self {
        Self {
            category: AssociationCategory::User,
            type_id,
        }
    }

    /// The plain type from one kind of record to another (`hubspot-api.md` §8); none for pairs that
    /// have no such type there.
    pub const fn unlabeled(from: ObjectType, to: ObjectType) -> Option<Self> {
        use ObjectType::{Call, Communication, Company, Contact, Deal, Email, Meeting, Note, Task};
        let id = match (from, to) {
            (Contact, Company) => 279,
            (Company, Contact) => 280,
            (Contact, Deal) => 4,
            (Deal, Contact) => 3,
            (Deal, Company) => 341,
            (Company, Deal) => 342,
            (Call, Contact) => 194,
            (Call, Company) => 182,
            (Call, Deal) => 206,
            (Contact, Call) => 193,
            (Company, Call) => 181,
            (Deal, Call) => 205,
            (Email, Contact) => 198,
            (Email, Company) => 186,
            (Email, Deal) => 210,
            (Contact, Email) => 197,
            (Company, Email) => 185,
            (Deal, Email) => 209,
            (Meeting, Contact) => 200,
            (Meeting, Company) => 188,
            (Meeting, Deal) => 212,
            (Contact, Meeting) => 199,
            (Company, Meeting) => 187,
            (Deal, Meeting) => 211,
            (Note, Contact) => 202,
            (Note, Company) => 190,
            (Note, Deal) => 214,
            (Contact, Note) => 201,
            (Company, Note) => 189,
            (Deal, Note) => 213,
            (Task, Contact) => 204,
            (Task, Company) => 192,
            (Task, Deal) => 216,
            (Contact, Task) => 203,
            (Company, Task) => 191,
            (Deal, Task) => 215,
            (Communication, Contact) => 81,
            (Communication, Company) => 87,
            (Communication, Deal) => 85,
            (Contact, Communication) => 82,
            (Company, Communication) => 88,
            (Deal, Communication) => 86,
            _ => return None,
        };
        Some(Self::hubspot(id))
    }

    /// The type of the primary company of a contact or deal, and its reverse.
    pub const fn primary(from: ObjectType, to: ObjectType) -> Option<Self> {
        let id = match (from, to) {
            (ObjectType::Contact, ObjectType::Company) => 1,
            (ObjectType::Company, ObjectType::Contact) => 2,
            (ObjectType::Deal, ObjectType::Company) => 5,
            (ObjectType::Company, ObjectType::Deal) => 6,
            _ => return None,
        };
        Some(Self::hubspot(id))
    }
}

/// Two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// From this one.
    pub from: RecordId,
    /// To this one.
    pub to: RecordId,
}

impl Pair {
    fn key(&self) -> String {
        format!("{}-{}", self.from, self.to)
    }

    fn named_by(&self, error: &ItemError) -> bool {
        let (from, to) = (self.from.to_string(), self.to.to_string());
        match (error.ids.is_empty(), error.to_ids.is_empty()) {
            (false, false) => error.ids.contains(&from) && error.to_ids.contains(&to),
            (false, true) => error.ids.contains(&from) || error.ids.contains(&to),
            (true, false) => error.to_ids.contains(&to),
            (true, true) => false,
        }
    }
}

/// Two records and the types by which to associate them, or of which to free them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedPair {
    /// The records.
    pub pair: Pair,
    /// The types.
    pub types: Vec<AssociationSpec>,
}

/// A type of association between two kinds of records, as a portal has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    /// Who defined it.
    pub category: AssociationCategory,
    /// Its id.
    pub type_id: u32,
    /// Its name; none for the plain type.
    #[serde(default)]
    pub label: Option<String>,
}

/// An association that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Associated {
    /// The records.
    pub pair: Pair,
    /// Labels that HubSpot names in its answer.
    pub labels: Vec<String>,
}

/// HubSpot names the ends in two ways: flat for labelled batches, nested for default ones.
#[derive(Debug, Clone)]
struct RawAssociated {
    pair: Pair,
    labels: Vec<String>,
}

impl<'de> Deserialize<'de> for RawAssociated {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize)]
        struct End {
            id: RecordId,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default)]
            from_object_id: Option<RecordId>,
            #[serde(default)]
            to_object_id: Option<RecordId>,
            #[serde(default)]
            from: Option<End>,
            #[serde(default)]
            to: Option<End>,
            #[serde(default)]
            labels: Option<Vec<Option<String>>>,
        }
        let raw = Raw::deserialize(deserializer)?;
        let from = raw.from_object_id.or(raw.from.map(|e| e.id));
        let to = raw.to_object_id.or(raw.to.map(|e| e.id));
        let (Some(from), Some(to)) = (from, to) else {
            return Err(D::Error::custom("an association without ends"));
        };
        Ok(Self {
            pair: Pair { from, to },
            labels: raw
                .labels
                .unwrap_or_default()
                .into_iter()
                .flatten()
                .collect(),
        })
    }
}

struct Pairs<'a> {
    pairs: Vec<&'a Pair>,
}

impl BatchInputs for Pairs<'_> {
    type Done = RawAssociated;

    fn count(&self) -> usize {
        self.pairs.len()
    }

    fn key(&self, place: usize) -> Option<String> {
        Some(self.pairs[place].key())
    }

    fn keys_of(&self, done: &RawAssociated) -> Vec<String> {
        let Pair { from, to } = done.pair;
        // Default associations are answered both ways.
        vec![done.pair.key(), Pair { from: to, to: from }.key()]
    }

    fn named_by(&self, place: usize, error: &ItemError) -> bool {
        self.pairs[place].named_by(error)
    }

    fn doing(&self) -> Doing {
        Doing::Update
    }

    fn group(&self, place: usize) -> u64 {
        self.pairs[place].from.get()
    }
}

#[derive(Serialize)]
struct EndInput {
    id: RecordId,
}

#[derive(Serialize)]
struct PairInput<'a> {
    from: EndInput,
    to: EndInput,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    types: &'a [AssociationSpec],
}

impl<'a> PairInput<'a> {
    fn new(pair: &Pair, types: &'a [AssociationSpec]) -> Self {
        Self {
            from: EndInput { id: pair.from },
            to: EndInput { id: pair.to },
            types,
        }
    }
}

/// The endpoints of associations.
#[derive(Debug)]
pub struct Associations<'a>(&'a Client);

impl Client {
    /// The endpoints of associations.
    pub const fn associations(&self) -> Associations<'_> {
        Associations(self)
    }
}

fn path(from: ObjectType, to: ObjectType, rest: &str) -> String {
    format!(
        "/crm/associations/{API_VERSION}/{}/{}{rest}",
        from.path(),
        to.path()
    )
}

impl Associations<'_> {
    /// Associates any number of pairs by the types given, 2,000 a request. With several types for a
    /// pair it has all of them.
    pub async fn batch_create(
        &self,
        from: ObjectType,
        to: ObjectType,
        inputs: &[TypedPair],
    ) -> BatchOutcome<Associated> {
        let core = Pairs {
            pairs: inputs.iter().map(|i| &i.pair).collect(),
        };
        let path = path(from, to, "/batch/create");
        let mut plan = Plan::new(&core, WRITE_BATCH);
        while let Some(batch) = plan.next() {
            let body = Inputs {
                inputs: batch
                    .iter()
                    .map(|place| PairInput::new(&inputs[*place].pair, &inputs[*place].types))
                    .collect(),
            };
            let reply = write(self.0, &path, &body, Bucket::Associations).await;
            plan.answer(&batch, reply);
        }
        plan.finish().map(associated)
    }

    /// Associates any number of pairs by the plain type, 2,000 a request.
    pub async fn batch_create_default(
        &self,
        from: ObjectType,
        to: ObjectType,
        pairs: &[Pair],
    ) -> BatchOutcome<Associated> {
        let core = Pairs {
            pairs: pairs.iter().collect(),
        };
        let path = path(from, to, "/batch/associate/default");
        let mut plan = Plan::new(&core, WRITE_BATCH);
        while let Some(batch) = plan.next() {
            let body = Inputs {
                inputs: batch
                    .iter()
                    .map(|place| PairInput::new(&pairs[*place], &[]))
                    .collect(),
            };
            let reply = write(self.0, &path, &body, Bucket::Associations).await;
            plan.answer(&batch, reply);
        }
        plan.finish().map(associated)
    }

    /// Removes all associations of any number of pairs, labels too, of 100 records a request.
    pub async fn batch_archive(
        &self,
        from: ObjectType,
        to: ObjectType,
        pairs: &[Pair],
    ) -> BatchOutcome<()> {
        #[derive(Serialize)]
        struct Input {
            from: EndInput,
            to: Vec<EndInput>,
        }
        let inputs = |batch: &[usize]| {
            batch
                .iter()
                .map(|place| Input {
                    from: EndInput {
                        id: pairs[*place].from,
                    },
                    to: vec![EndInput {
                        id: pairs[*place].to,
                    }],
                })
                .collect()
        };
        self.remove(
            pairs.iter().collect(),
            &path(from, to, "/batch/archive"),
            inputs,
        )
        .await
    }

    /// Removes these types from any number of pairs. Removing the plain type removes all of them
    /// (`hubspot-api.md` §8).
    pub async fn batch_archive_labels(
        &self,
        from: ObjectType,
        to: ObjectType,
        inputs: &[TypedPair],
    ) -> BatchOutcome<()> {
        let bodies = |batch: &[usize]| {
            batch
                .iter()
                .map(|place| PairInput::new(&inputs[*place].pair, &inputs[*place].types))
                .collect()
        };
        self.remove(
            inputs.iter().map(|i| &i.pair).collect(),
            &path(from, to, "/batch/labels/archive"),
            bodies,
        )
        .await
    }

    async fn remove<T: Serialize + Sync>(
        &self,
        pairs: Vec<&Pair>,
        path: &str,
        bodies: impl Fn(&[usize]) -> Vec<T>,
    ) -> BatchOutcome<()> {
        let core = Pairs { pairs };
        let mut plan = Plan::with_most_groups(&core, WRITE_BATCH, ARCHIVE_FROM);
        while let Some(batch) = plan.next() {
            let body = Inputs {
                inputs: bodies(&batch),
            };
            match self
                .0
                .post(path, &body, Bucket::Associations, Kind::Write)
                .await
            {
                // 204, or an envelope that lists what was refused.
                Ok(answer) => {
                    let refused = reply_of::<RawAssociated>(&answer)
                        .map(|reply| reply.errors)
                        .unwrap_or_default();
                    let (bad, good): (Vec<usize>, Vec<usize>) = batch
                        .iter()
                        .partition(|p| refused.iter().any(|e| core.named_by(**p, e)));
                    for place in good {
                        plan.all_done(&[place], || RawAssociated {
                            pair: *core.pairs[place],
                            labels: Vec::new(),
                        });
                    }
                    if !bad.is_empty() {
                        let reply = crate::batch::Reply {
                            results: Vec::new(),
                            refused: refused.len(),
                            errors: refused,
                        };
                        plan.answer(&bad, Ok(reply));
                    }
                }
                Err(error) => plan.answer(&batch, Err(error)),
            }
        }
        plan.finish().map(|_| ())
    }

    /// Associates two records by the plain type.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_default(
        &self,
        from: ObjectType,
        to: ObjectType,
        pair: Pair,
    ) -> Result<(), Error> {
        let path = format!(
            "/crm/objects/{API_VERSION}/{}/{}/associations/default/{}/{}",
            from.path(),
            pair.from,
            to.path(),
            pair.to
        );
        self.0
            .send(&Call::<()> {
                method: Method::PUT,
                path: &path,
                query: &[],
                body: None,
                bucket: Bucket::Associations,
                kind: Kind::Write,
            })
            .await
            .map(drop)
    }

    /// Sets the types between two records. Labels that they have and that are not given are
    /// replaced (`hubspot-api.md` §8).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set(
        &self,
        from: ObjectType,
        to: ObjectType,
        pair: Pair,
        types: &[AssociationSpec],
    ) -> Result<(), Error> {
        self.0
            .send(&Call {
                method: Method::PUT,
                path: &pair_path(from, to, pair),
                query: &[],
                body: Some(types),
                bucket: Bucket::Associations,
                kind: Kind::Write,
            })
            .await
            .map(drop)
    }

    /// Removes all associations between two records.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn archive(&self, from: ObjectType, to: ObjectType, pair: Pair) -> Result<(), Error> {
        self.0
            .delete(&pair_path(from, to, pair), Bucket::Associations)
            .await
    }

    /// The types of association that the portal has between two kinds of records.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn labels(&self, from: ObjectType, to: ObjectType) -> Result<Page<Label>, Error> {
        let answer = self
            .0
            .send(&Call::<()> {
                method: Method::GET,
                path: &path(from, to, "/labels"),
                query: &[],
                body: None,
                bucket: Bucket::Associations,
                kind: Kind::Page,
            })
            .await?;
        page_of(&answer, "association labels")
    }
}

fn pair_path(from: ObjectType, to: ObjectType, pair: Pair) -> String {
    format!(
        "/crm/objects/{API_VERSION}/{}/{}/associations/{}/{}",
        from.path(),
        pair.from,
        to.path(),
        pair.to
    )
}

fn associated(raw: RawAssociated) -> Associated {
    Associated {
        pair: raw.pair,
        labels: raw.labels,
    }
}

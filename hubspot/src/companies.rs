//! What only companies have.

use crate::{
    client::Client,
    error::{Error, RequestProblem},
    ids::ObjectType,
    objects::CrmObject,
    search::{Filter, GROUPS, SearchRequest},
};

/// Most domains that are looked for at once: one group of filters is for their primary ones together,
/// and each takes another one for the additional ones (`hubspot-api.md` §6).
pub const DOMAINS: usize = GROUPS - 1;

/// Most primary domains of one search: a page has room for two companies of each.
const PRIMARY_DOMAINS: usize = 100;

/// The endpoints that only companies have.
#[derive(Debug)]
pub struct Companies<'a>(&'a Client);

impl Client {
    /// The endpoints that only companies have; the others are in [`Client::objects`].
    pub const fn companies(&self) -> Companies<'_> {
        Companies(self)
    }
}

impl Companies<'_> {
    /// The companies that HubSpot's index has under one of any number of primary domains; additional ones
    /// are not looked for. As many domains go into a search as HubSpot takes. Says how many searches that
    /// took. What [`Self::by_domains`] says of the answers holds here too.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when an answer contradicts itself or does not say all: then nothing is known.
    pub async fn by_primary_domains(
        &self,
        domains: &[String],
        properties: &[String],
    ) -> Result<(Vec<CrmObject>, usize), Error> {
        let request = |some: &[String]| {
            SearchRequest::new(ObjectType::Company)
                .properties(properties)
                .sort_ascending("hs_object_id")
                .group([Filter::in_texts("domain", some.iter().cloned())])
        };
        let (mut found, mut searches) = (Vec::new(), 0);
        let mut left = domains;
        while !left.is_empty() {
            let mut most = left.len().min(PRIMARY_DOMAINS);
            while most > 1 && request(&left[..most]).check().is_err() {
                most = most.div_ceil(2);
            }
            let (some, rest) = left.split_at(most);
            left = rest;
            searches += 1;
            let page = self.0.search().run(&request(some)).await?;
            let given = page.results.len() as u64;
            if page.total.is_none_or(|total| total != given) || page.next.is_some() {
                return Err(Error::Unanswered);
            }
            for company in page.results {
                found.push(company.map_err(|_| Error::Unanswered)?);
            }
        }
        Ok((found, searches))
    }

    /// The companies that HubSpot's index has under one of these domains, as their primary one or an
    /// additional one, by one search. It compares by words and without regard to case: each has to be
    /// looked at again. The index lags behind, so none found is no proof that there is none.
    ///
    /// # Errors
    /// [`Error::Unanswered`] when the answer contradicts itself or does not say all: then nothing is
    /// known, least of all that there is none. [`Error::NotSendable`] for no domain, or more than
    /// [`DOMAINS`].
    pub async fn by_domains(
        &self,
        domains: &[String],
        properties: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Vec<CrmObject>, Error> {
        if domains.len() > DOMAINS {
            return Err(RequestProblem::FilterGroups {
                given: domains.len() + 1,
                most: GROUPS,
            }
            .into());
        }
        let primary = Filter::in_texts("domain", domains.iter().cloned());
        let request = SearchRequest::new(ObjectType::Company)
            .properties(properties)
            .sort_ascending("hs_object_id")
            .group([primary]);
        let request = domains.iter().fold(request, |request, domain| {
            request.group([Filter::contains_token(
                "hs_additional_domains",
                domain.to_lowercase(),
            )])
        });
        let page = self.0.search().run(&request).await?;
        let given = page.results.len() as u64;
        // More than a page of companies of one domain are no answer either.
        if page.total.is_none_or(|total| total != given) || page.next.is_some() {
            return Err(Error::Unanswered);
        }
        page.results
            .into_iter()
            .map(|company| company.map_err(|_| Error::Unanswered))
            .collect()
    }
}

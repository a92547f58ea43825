//! Which company a domain is, for all workspaces of a portal (design §4.4). Whoever holds a claim may make
//! the company, unless somebody began to before: that entry is looked after first. The end of a lease
//! never permits a create by itself.

use std::time::Duration;

use domain::{
    HubSpotObjectId, PortalId, WorkspaceId,
    export::{CompanyDomains, journal::EntryId},
};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError, mirror::object_id};

/// How long a claim is held that is not given back.
const CLAIM: Duration = Duration::from_secs(20);

/// A hold of the claims of one company's domains.
#[derive(Debug, Clone)]
pub struct ClaimHold {
    pub(crate) portal: PortalId,
    pub(crate) domains: Vec<String>,
    pub(crate) generations: Vec<i64>,
}

/// What became of claiming.
#[derive(Debug, Clone)]
pub enum Claimed {
    /// The domain is this company's, as far as was known when somebody last looked.
    Known(HubSpotObjectId),
    /// Somebody else looks for it or makes it now.
    Busy,
    /// Ours to look for and to make. With the entry that somebody left open, if one did.
    Held(ClaimHold, Option<(WorkspaceId, EntryId)>),
}

impl Store {
    /// Claims all domains of a company, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_company(
        &self,
        portal: PortalId,
        domains: &CompanyDomains,
    ) -> Result<Claimed, StoreError> {
        let mut names: Vec<String> = domains
            .all()
            .iter()
            .map(|domain| domain.as_str().to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "insert into company_claim (portal_id, domain)
             select $1, t.domain from unnest($2::text[]) as t (domain) order by t.domain
             on conflict (portal_id, domain) do nothing",
            portal.get(),
            &names
        )
        .execute(&mut *tx)
        .await?;
        let rows = sqlx::query!(
            "select domain, company_id, entry_workspace, entry_id, generation,
               coalesce(held_until > clock_timestamp(), false) as \"held!\"
             from company_claim where portal_id = $1 and domain = any($2) order by domain for update",
            portal.get(),
            &names
        )
        .fetch_all(&mut *tx)
        .await?;
        // Several companies may have been known by one domain each: the least id is the one, always.
        if let Some(company) = rows.iter().filter_map(|row| row.company_id).min() {
            tx.commit().await?;
            return Ok(Claimed::Known(object_id(company)?));
        }
        if rows.iter().any(|row| row.held) {
            return Ok(Claimed::Busy);
        }
        sqlx::query!(
            "update company_claim set generation = generation + 1,
               held_until = clock_timestamp() + make_interval(secs => $3)
             where portal_id = $1 and domain = any($2)",
            portal.get(),
            &names,
            CLAIM.as_secs_f64()
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let left_open = rows
            .iter()
            .find_map(|row| Some((row.entry_workspace?, row.entry_id?)))
            .map(|(workspace, entry)| (WorkspaceId::new(workspace), EntryId::new(entry)));
        let hold = ClaimHold {
            portal,
            domains: rows.iter().map(|row| row.domain.clone()).collect(),
            generations: rows.iter().map(|row| row.generation + 1).collect(),
        };
        Ok(Claimed::Held(hold, left_open))
    }

    /// The company that one of these domains is known to be, for whoever only looks; as [`Claimed::Known`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claimed_company(
        &self,
        portal: PortalId,
        domains: &CompanyDomains,
    ) -> Result<Option<HubSpotObjectId>, StoreError> {
        let names: Vec<&str> = domains.all().iter().map(|domain| domain.as_str()).collect();
        let company = sqlx::query_scalar!(
            "select min(company_id) from company_claim where portal_id = $1 and domain = any($2)",
            portal.get(),
            &names as &[&str]
        )
        .fetch_one(&self.pool)
        .await?;
        company.map(object_id).transpose()
    }

    /// Gives a claim back: with the company that was found, or as it is. What somebody has claimed since
    /// stays.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_claim(
        &self,
        hold: &ClaimHold,
        company: Option<HubSpotObjectId>,
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        settle(&mut connection, hold, company).await?;
        Ok(())
    }

    /// Forgets that a domain is this company's: HubSpot does not have it any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_claimed(
        &self,
        portal: PortalId,
        domains: &CompanyDomains,
        company: HubSpotObjectId,
    ) -> Result<(), StoreError> {
        let names: Vec<&str> = domains.all().iter().map(|d| d.as_str()).collect();
        sqlx::query!(
            "update company_claim set company_id = null
             where portal_id = $1 and domain = any($2) and company_id = $3",
            portal.get(),
            &names as &[&str],
            company.get()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// Notes the entry by which the company of a claim is being made. `false` where somebody else has the
/// claim by now.
pub(crate) async fn begin_making(
    tx: &mut PgConnection,
    hold: &ClaimHold,
    workspace: WorkspaceId,
    entry: Uuid,
) -> Result<bool, sqlx::Error> {
    let noted = sqlx::query!(
        "update company_claim c set entry_workspace = $4, entry_id = $5,
           held_until = clock_timestamp() + make_interval(secs => $6)
         from unnest($2::text[], $3::bigint[]) as t (domain, generation)
         where c.portal_id = $1 and c.domain = t.domain and c.domain = any($2)
           and c.generation = t.generation and c.company_id is null",
        hold.portal.get(),
        &hold.domains,
        &hold.generations,
        workspace.as_uuid(),
        entry,
        CLAIM.as_secs_f64()
    )
    .execute(tx)
    .await?;
    Ok(noted.rows_affected() == hold.domains.len() as u64)
}

/// No entry makes a company for these domains any more; with the company that it made.
pub(crate) async fn end_making(
    tx: &mut PgConnection,
    portal: PortalId,
    workspace: WorkspaceId,
    entry: Uuid,
    company: Option<HubSpotObjectId>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update company_claim set entry_workspace = null, entry_id = null,
           company_id = coalesce($4, company_id),
           held_until = case when $4::bigint is null then held_until end
         where portal_id = $1 and entry_workspace = $2 and entry_id = $3",
        portal.get(),
        workspace.as_uuid(),
        entry,
        company.map(|c| c.get())
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn settle(
    tx: &mut PgConnection,
    hold: &ClaimHold,
    company: Option<HubSpotObjectId>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update company_claim c set held_until = null, company_id = coalesce($4, c.company_id)
         from unnest($2::text[], $3::bigint[]) as t (domain, generation)
         where c.portal_id = $1 and c.domain = t.domain and c.domain = any($2)
           and c.generation = t.generation",
        hold.portal.get(),
        &hold.domains,
        &hold.generations,
        company.map(|c| c.get())
    )
    .execute(tx)
    .await?;
    Ok(())
}

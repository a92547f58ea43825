-- A refresh is a lease: no transaction is open, no row is locked and no connection is held while
-- HubSpot answers.
alter table connection_token
    -- When HubSpot gave the access token; with `expires_at`, its lifetime. Null: not known.
    add column issued_at timestamptz,
    -- Until then one process refreshes this version, and nobody else does.
    add column refreshing_until timestamptz,
    -- When a lease of this version was first found over without a result: what HubSpot gave, if it
    -- gave anything, may still be on its way.
    add column doubtful_since timestamptz,
    -- Nobody asks HubSpot before that.
    add column retry_at timestamptz,
    add column failures integer not null default 0,
    -- A service key that HubSpot refuses: since when, and how often it was asked.
    add column refused_since timestamptz,
    add column refusals integer not null default 0;

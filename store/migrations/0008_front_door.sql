-- The front door: links to connect, consents that wait to be confirmed, keys of calls.

-- A link that begins to connect. It may be opened many times and handed on; the consent that comes
-- back uses it up. The names are what the confirmation page shows.
create table connect_link (
    id uuid primary key,
    workspace_id uuid not null references workspace (id) on delete cascade,
    admin_id uuid not null,
    workspace_name text,
    admin_name text,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index connect_link_by_workspace on connect_link (workspace_id);
create index connect_link_by_expiry on connect_link (expires_at);

-- None: a state of before there were links.
alter table oauth_state add column link_id uuid;

-- A consent that came back and waits to be confirmed. Once decided it is `confirmed`, `refused` or
-- `expired`; the tokens go when they were stored with the connection, or were revoked.
create table pending_consent (
    id uuid primary key,
    workspace_id uuid not null references workspace (id) on delete cascade,
    portal_id bigint not null,
    hub_domain text,
    ui_domain text,
    admin_id uuid not null,
    workspace_name text,
    admin_name text,
    scopes text[] not null,
    access_token bytea,
    refresh_token bytea,
    token_expires_at timestamptz,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    outcome text check (outcome in ('confirmed', 'refused', 'expired')),
    decided_at timestamptz
);
create index pending_consent_by_workspace on pending_consent (workspace_id, created_at);
create index pending_consent_with_tokens on pending_consent (expires_at)
    where access_token is not null or refresh_token is not null;
create index pending_consent_by_expiry on pending_consent (expires_at);

-- When a call last began. `created_at` stays what it was at first: ids of what the call makes are
-- derived from it, so that the call, should it have died before its answer was kept, makes the same.
alter table idempotency_key add column taken_at timestamptz;

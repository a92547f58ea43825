-- The settings pages: who has them open, who did what there, and what people call a portal.

-- A session of a person's on the pages. The token that began it is used up: its hash is there until
-- the session ends, which is after the token's own end.
create table page_session (
    id uuid primary key,
    token_hash bytea not null unique,
    workspace_id uuid not null references workspace (id) on delete cascade,
    admin_id uuid not null,
    role text not null check (role in ('admin', 'member')),
    user_name text,
    workspace_name text,
    began_at timestamptz not null,
    expires_at timestamptz not null
);
create index page_session_by_workspace on page_session (workspace_id);
create index page_session_by_expiry on page_session (expires_at);

-- What somebody did on the pages, in the order of ids. `revision` is that of settings that were saved.
create table page_event (
    workspace_id uuid not null references workspace (id) on delete cascade,
    id uuid not null,
    at timestamptz not null,
    admin_id uuid not null,
    user_name text,
    kind text not null,
    revision bigint,
    primary key (workspace_id, id)
);
create index page_event_by_revision on page_event (workspace_id, revision) where revision is not null;

-- What people call a portal, and where its pages are, as far as HubSpot said so at a consent.
create table portal_name (
    workspace_id uuid not null references workspace (id) on delete cascade,
    portal_id bigint not null,
    hub_domain text,
    ui_domain text,
    primary key (workspace_id, portal_id)
);

alter table page_session alter column workspace_id set statistics 0;
alter table page_event alter column workspace_id set statistics 0;
alter table portal_name alter column workspace_id set statistics 0;
alter table portal_name alter column portal_id set statistics 0;

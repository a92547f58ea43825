-- The rate budget that all processes share: one line of slots per app, portal and bucket. Moments are
-- microseconds since 1970 by this database's clock; docs/decisions/0006 says how a line works.
create table rate_budget (
    app text not null,
    portal_id bigint not null,
    bucket text not null check (bucket in ('general', 'search', 'associations')),
    next_at bigint not null default 0,
    low_next_at bigint not null default 0,
    out_of_line_at bigint not null default 0,
    turns bigint[] not null default '{0,0,0,0}',
    -- What was handed out in the last ten seconds, and not given back.
    slots bigint[] not null default '{}',
    limit_seen integer,
    foreign_use integer not null default 0,
    foreign_at bigint not null default 0,
    -- Of the account: its day, and with it the daily limit, ends at its midnight.
    utc_offset_seconds integer,
    paused_until timestamptz,
    pause_reason text check (pause_reason in ('rate_limited', 'daily_limit')),
    primary key (app, portal_id, bucket),
    check ((paused_until is null) = (pause_reason is null))
) with (fillfactor = 50);
create index rate_budget_by_portal on rate_budget (portal_id);

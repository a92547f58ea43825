-- The periodic sync: its readings belong to no run, and how fresh a type is outlives them.

-- Of a periodic reading: whether it is one over the long window, and the newest last-modified that it
-- has seen so far, by HubSpot's clock.
alter table sync_cursor
    add column slow boolean not null default false,
    add column seen_to timestamptz;

create table sync_freshness (
    workspace_id uuid not null references workspace (id),
    portal_id bigint not null,
    sync_type text not null,
    -- When the newest reading that came to its end had begun, by HubSpot's clock: what was modified
    -- before is here. The next one reads from there.
    fresh_to timestamptz not null,
    -- The same moment by this database's clock: ages are counted from it.
    read_at timestamptz not null,
    -- The newest last-modified that readings have seen, by HubSpot's clock.
    seen_to timestamptz,
    -- When the last reading began that was whole or over the long window, by this database's clock.
    swept_at timestamptz not null,
    -- How often the type is read, in seconds; null while it is not imported (I4).
    every_seconds integer check (every_seconds > 0),
    primary key (workspace_id, portal_id, sync_type)
);

-- What was read to its end is handed over to the periodic sync.
insert into sync_freshness (workspace_id, portal_id, sync_type, fresh_to, read_at, swept_at)
select l.workspace_id, l.portal_id, l.sync_type, l.read_began_at,
       coalesce(c.began_at, l.read_began_at), coalesce(c.began_at, l.read_began_at)
from last_read l left join sync_cursor c
    on c.workspace_id = l.workspace_id and c.portal_id = l.portal_id and c.sync_type = l.sync_type
   and c.purpose = 'run' and c.outcome = 'finished' and c.read_began_at = l.read_began_at;

-- Members are read without a run, too.
alter table hubspot_list_member alter column run_id drop not null;

-- The size of a list when its members were read whole.
alter table hubspot_list add column members_size bigint;

-- Ranges of ids: the readers of one big object type. A type that is read by list has at least one,
-- and its row in `sync_cursor` moves no more: what its readers did is the sum over the ranges.

alter table sync_cursor
    -- The highest id that search knew when the type was begun.
    add column last_id bigint,
    -- The list endpoint does not go by id: one reader walks alone.
    add column alone boolean not null default false;

-- The ids beyond `after_id` up to and with `upto_id`; open where null. `version` is what a page, a
-- split and a change of readers compare and set.
create table sync_range (
    run_id uuid not null,
    sync_type text not null,
    range_no integer not null,
    reader text not null check (reader in ('list', 'search', 'relist')),
    after_id bigint,
    upto_id bigint,
    position text,
    version bigint not null default 0,
    -- Records in it, as counted by search when it was made or read.
    expected bigint,
    -- Records that its present reader has passed.
    seen bigint not null default 0,
    done bigint not null default 0,
    quarantined bigint not null default 0,
    last_commit_at timestamptz,
    finished boolean not null default false,
    primary key (run_id, sync_type, range_no),
    foreign key (run_id, sync_type) references sync_cursor (run_id, sync_type) on delete cascade,
    check (after_id is null or upto_id is null or after_id < upto_id)
) with (fillfactor = 50);

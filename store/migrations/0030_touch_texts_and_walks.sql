-- The text of an engagement, where the workspace reads them, and what became of it in HubSpot (I10).

-- `with_body`: the text was asked for. `redacted`: HubSpot keeps back what the e-mail says. `archived`: it
-- lies in the recycle bin. `missing_at`: since when HubSpot names it as unknown; named so once more, it goes.
alter table hubspot_touch
    add column body text,
    add column with_body boolean not null default false,
    add column redacted boolean not null default false,
    add column archived boolean not null default false,
    add column missing_at timestamptz;
create index hubspot_touch_with_body on hubspot_touch (workspace_id) where with_body;

-- `bodies`: the kind was read whole with its texts. `walked_to`: the last id that was asked for, while those
-- that are known are asked for one after the other.
alter table touch_coverage
    add column bodies boolean not null default false,
    add column walked_to bigint;

-- How far links are judged (I8): who is linked to a contact by hand or by import is judged by it.
alter table dnc_projection
    add column link_number bigint not null default 0,
    add column link_type smallint not null default 0,
    add column link_id text collate "C" not null default '';

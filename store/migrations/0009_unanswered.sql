-- Records of a reading of which HubSpot's answers did not speak: they are asked for again before the
-- type ends. What is stored of them stays as it was.
create table sync_unanswered (
    cursor_id bigint not null references sync_cursor (id) on delete cascade,
    object_id bigint not null,
    primary key (cursor_id, object_id)
);

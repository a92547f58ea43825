//! X8: the OpenAPI document is one that tools of others take, without a word of complaint.

use e2e::script::Script;

#[tokio::test]
async fn a_linter_finds_nothing_to_say_about_the_document() {
    Script::node("lint/openapi.mjs").passes().await;
}

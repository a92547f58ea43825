//! Software that others wrote works against the simulator: see `tests/conformance/README.md`.

use e2e::script::Script;

#[tokio::test]
async fn hubspots_node_sdk_is_satisfied() {
    Script::node("conformance/sdk_node.mjs").passes().await;
}

#[tokio::test]
async fn hubspots_python_sdk_is_satisfied() {
    Script::python("conformance/sdk_python.py").passes().await;
}

#[tokio::test]
async fn a_plain_loop_over_hubspots_python_sdk_exports() {
    Script::python("conformance/loop_python.py").passes().await;
}

#[tokio::test]
async fn singers_tap_reads_everything_once() {
    Script::python("conformance/read_singer.py").passes().await;
}

#[tokio::test]
async fn airbytes_source_reads_everything_once() {
    Script::python("conformance/read_airbyte.py").passes().await;
}

#[tokio::test]
async fn hubspots_sdk_for_dated_paths_is_satisfied() {
    Script::python("conformance/sdk_dated.py").passes().await;
}

#[tokio::test]
async fn dlt_reads_everything_once() {
    Script::python("conformance/read_dlt.py").passes().await;
}

#[tokio::test]
async fn a_command_line_of_others_writes() {
    Script::python("conformance/write_hubspotctl.py")
        .passes()
        .await;
}

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
async fn singers_tap_reads_everything_once() {
    Script::python("conformance/read_singer.py").passes().await;
}

#[tokio::test]
async fn airbytes_source_reads_everything_once() {
    Script::python("conformance/read_airbyte.py").passes().await;
}

//! What a test leaves behind would be read, judged and looked after until the last test has ended.

use std::{sync::Arc, time::Duration};

use dev::demo::Api;
use serde_json::json;

/// How long a front door that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Disconnects a workspace when nobody in the test holds it any more.
#[derive(Debug, Clone)]
pub struct Retire(#[expect(dead_code, reason = "held for its drop")] Arc<Whom>);

impl Retire {
    pub(crate) fn at_the_end(api: &Api, workspace: &str) -> Self {
        Self(Arc::new(Whom {
            api: api.clone(),
            workspace: workspace.to_owned(),
        }))
    }
}

#[derive(Debug)]
struct Whom {
    api: Api,
    workspace: String,
}

impl Drop for Whom {
    fn drop(&mut self) {
        // A thread, as the test's own runtime is ending; an answer of any kind will do, as a test may
        // have disconnected, purged or stopped everything itself.
        let (addresses, workspace) = (self.api.addresses().clone(), self.workspace.clone());
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let (Ok(runtime), Ok(api)) = (runtime, Api::new(addresses)) {
                runtime.block_on(async {
                    let asked = api.call(&workspace, "disconnect", Some(json!({})));
                    let _ = tokio::time::timeout(PATIENCE, asked).await;
                });
            }
        });
        let _ = asked.join();
    }
}

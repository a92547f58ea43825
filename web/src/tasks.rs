//! Work that is counted, so that shutting down can wait for it.

use tokio::{sync::watch, task::JoinHandle};

/// How much is under way. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Tasks(watch::Sender<usize>);

/// One piece of work; it ends with its value.
#[derive(Debug)]
pub(crate) struct UnderWay(Tasks);

impl Default for Tasks {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Tasks {
    /// Counts from now on.
    pub(crate) fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| *count += 1);
        UnderWay(self.clone())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Runs to its end, whether anybody waits for it or not.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let under_way = self.begin();
        tokio::spawn(async move {
            let done = work.await;
            drop(under_way);
            done
        })
    }

    /// Until nothing is under way.
    pub(crate) async fn ended(&self) {
        let mut counts = self.0.subscribe();
        // The sender is here, so there is always something to wait for.
        let _count = counts.wait_for(|count| *count == 0).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

//! Something to listen to. It takes no memory until somebody does: of thousands of chains few are listened to, and what a
//! slow listener may be behind is set aside beforehand.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast;

/// Tells everybody who listens. Cheap to clone.
#[derive(Debug)]
pub(crate) struct Feed<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    sender: OnceLock<broadcast::Sender<T>>,
    capacity: usize,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Feed<T> {
    /// A listener may be behind by `capacity` before it misses some.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            sender: OnceLock::new(),
            capacity,
        }))
    }

    /// Tells those who listen.
    pub(crate) fn tell(&self, news: T) {
        if let Some(sender) = self.0.sender.get() {
            // Nobody listening any more is no error.
            drop(sender.send(news));
        }
    }

    /// All that is told from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<T> {
        let begin = || broadcast::Sender::new(self.0.capacity);
        self.0.sender.get_or_init(begin).subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::Feed;

    #[tokio::test]
    async fn who_listens_hears_what_is_told_from_then_on() {
        let feed = Feed::new(4);
        feed.tell(1);
        let mut ear = feed.listen();
        feed.clone().tell(2);
        assert_eq!(ear.recv().await, Ok(2));
        drop(ear);
        feed.tell(3);
        assert!(feed.listen().try_recv().is_err());
    }
}

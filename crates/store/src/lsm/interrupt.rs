//! A compaction that can be interrupted: it may take seconds, and ending the program must not wait for it.
//!
//! The library asks a filter about every row; this one keeps all of them, and answers with an error once it is time
//! to stop. What such a compaction has written so far is removed when the tables are opened again.

use lsm_tree::compaction::filter::Context;
use lsm_tree::compaction::{CompactionFilter, Factory, ItemAccessor, Verdict};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Interrupts compactions once it is set. Clones are one flag.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Factory for Interrupt {
    fn name(&self) -> &'static str {
        "interrupt"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(self.clone())
    }
}

impl CompactionFilter for Interrupt {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        if self.0.load(Ordering::Acquire) {
            return Err(lsm_tree::Error::Io(io::ErrorKind::Interrupted.into()));
        }
        Ok(Verdict::Keep)
    }
}

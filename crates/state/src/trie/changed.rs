//! The branches that an update changes: their rows before and after.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Branch, Path};

/// Bytes of a new row, about: those high up have sixteen children, those above leaves two or three.
const ROW_BYTES: usize = 400;

/// Branches whose rows differ. All new rows lie in one piece of memory: a block has thousands of them, and mostly each
/// is copied over an old one when the block is adopted.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    branches: Vec<(Path, Option<Branch>, Option<Range<usize>>)>,
    rows: Vec<u8>,
}

/// A branch's row before and after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BranchChange<'a> {
    pub(crate) path: &'a Path,
    pub(crate) old: Option<&'a [u8]>,
    pub(crate) new: Option<&'a [u8]>,
}

impl Changed {
    /// Room for `branches`.
    pub(super) fn with_room(branches: usize) -> Self {
        Self {
            branches: Vec::with_capacity(branches),
            rows: Vec::with_capacity(branches * ROW_BYTES),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = BranchChange<'_>> {
        self.branches.iter().map(|(path, old, new)| BranchChange {
            path,
            old: old.as_ref().map(Branch::row),
            new: new.clone().map(|row| &self.rows[row]),
        })
    }

    /// Gives all new rows to `put`. The old branches are let go before, so that the row of one that nobody else holds
    /// can be written over.
    pub(crate) fn adopt(self, mut put: impl FnMut(Path, Option<&[u8]>)) {
        for (path, old, new) in self.branches {
            drop(old);
            put(path, new.map(|row| &self.rows[row]));
        }
    }

    /// Takes into account which branches have left their places. A place that one has left may have been taken by
    /// another.
    pub(crate) fn leave(&mut self, gone: impl IntoIterator<Item = (Path, Branch)>) {
        let mut gone: BTreeMap<Path, Branch> = gone.into_iter().collect();
        if gone.is_empty() {
            return;
        }
        let rows = &self.rows;
        self.branches.retain_mut(|(path, old, new)| {
            if let Some(gone) = gone.remove(path) {
                *old = Some(gone);
            }
            old.as_ref().map(Branch::row) != new.clone().map(|row| &rows[row])
        });
        let left = gone.into_iter().map(|(path, old)| (path, Some(old), None));
        self.branches.extend(left);
    }

    /// A new row, written by `write` behind those that are there.
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.rows.len();
        write(&mut self.rows);
        start..self.rows.len()
    }

    /// Takes back the row that was written last.
    pub(super) fn take_back(&mut self, row: &Range<usize>) {
        self.rows.truncate(row.start);
    }

    /// Notes that a new row lies at `path`.
    pub(super) fn push(&mut self, path: Path, old: Option<Branch>, new: Range<usize>) {
        self.branches.push((path, old, Some(new)));
    }

    pub(super) fn bytes(&self, row: &Range<usize>) -> &[u8] {
        &self.rows[row.clone()]
    }
}
